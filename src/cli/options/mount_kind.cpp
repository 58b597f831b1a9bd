// --mount type=bind,source=/a,target=/b,readonly: CSV of key=value, per type some keys of its own.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/strings.hpp"
#include "cli/format/path_text.hpp"
#include "cli/format/units.hpp"
#include "cli/options/csv.hpp"
#include "cli/options/value_kind.hpp"

namespace bryo::cli {
namespace {

using json::Object;
using json::Value;

[[noreturn]] void refuse(std::string message) { throw Error(ErrorKind::invalid_argument, std::move(message)); }

// A key without value means true for these.
constexpr std::array<std::string_view, 4> kSwitches = {"readonly", "ro", "volume-nocopy", "bind-nonrecursive"};

Object& child(Object& parent, std::string_view name) {
  Value& value = parent[boost::json::string_view(name.data(), name.size())];
  if (!value.is_object()) value = Object();
  return value.get_object();
}

class MountBuilder {
 public:
  void field(const std::string& text) {
    const auto parts = split_once(text, '=');
    const std::string key = to_lower(parts ? parts->first : std::string_view(text));
    if (!parts && std::find(kSwitches.begin(), kSwitches.end(), key) == kSwitches.end())
      refuse(fmt::format("invalid field '{}' must be a key=value pair", printable(text)));
    const std::string value(parts ? parts->second : "true");
    if (!general(key, value) && !bind(key, value) && !volume(key, value) && !tmpfs(key, value))
      refuse(fmt::format("unexpected key '{}' in '{}'", printable(key), printable(text)));
  }

  Value finish() {
    if (type_.empty()) refuse("type is required");
    if (!mount_.contains("Target")) refuse("target is required");
    mix("VolumeOptions", "volume");
    mix("BindOptions", "bind");
    mix("TmpfsOptions", "tmpfs");
    check_recursion();
    mount_["Type"] = type_;
    return std::move(mount_);
  }

 private:
  bool general(const std::string& key, const std::string& value) {
    if (key == "type") {
      type_ = to_lower(value);
    } else if (key == "source" || key == "src") {
      // A path that says it is relative is made absolute here: the daemon has another working directory.
      const bool relative = value.starts_with("./") || value.starts_with("../") || value == "." || value == "..";
      mount_["Source"] = relative ? absolute_path(value) : value;
    } else if (key == "target" || key == "dst" || key == "destination") {
      mount_["Target"] = value;
    } else if (key == "readonly" || key == "ro") {
      mount_["ReadOnly"] = boolean(key, value);
    } else if (key == "consistency") {
      mount_["Consistency"] = to_lower(value);
    } else {
      return false;
    }
    return true;
  }

  bool bind(const std::string& key, const std::string& value) {
    if (key == "bind-propagation") {
      child(mount_, "BindOptions")["Propagation"] = to_lower(value);
    } else if (key == "bind-nonrecursive") {
      child(mount_, "BindOptions")["NonRecursive"] = boolean(key, value);
    } else if (key == "bind-create-src") {
      child(mount_, "BindOptions")["CreateMountpoint"] = boolean(key, value);
    } else if (key == "bind-recursive") {
      recursion(value);
    } else {
      return false;
    }
    return true;
  }

  void recursion(const std::string& value) {
    Object& options = child(mount_, "BindOptions");
    if (value == "disabled")
      options["NonRecursive"] = true;
    else if (value == "writable")
      options["ReadOnlyNonRecursive"] = true;
    else if (value == "readonly")
      options["ReadOnlyForceRecursive"] = true;
    else if (value != "enabled")
      refuse(
          fmt::format("invalid value for bind-recursive: {} (must be \"enabled\", \"disabled\", \"writable\", or "
                      "\"readonly\")",
                      printable(value)));
  }

  bool volume(const std::string& key, const std::string& value) {
    if (key == "volume-nocopy")
      child(mount_, "VolumeOptions")["NoCopy"] = boolean(key, value);
    else if (key == "volume-subpath")
      child(mount_, "VolumeOptions")["Subpath"] = value;
    else if (key == "volume-driver")
      child(child(mount_, "VolumeOptions"), "DriverConfig")["Name"] = value;
    else if (key == "volume-opt")
      pair(child(child(child(mount_, "VolumeOptions"), "DriverConfig"), "Options"), value);
    else if (key == "volume-label")
      pair(child(child(mount_, "VolumeOptions"), "Labels"), value);
    else
      return false;
    return true;
  }

  bool tmpfs(const std::string& key, const std::string& value) {
    if (key == "tmpfs-size") {
      const auto size = parse_binary_size(value);
      if (!size) refuse(fmt::format("invalid value for {}: {}", key, printable(value)));
      child(mount_, "TmpfsOptions")["SizeBytes"] = *size;
    } else if (key == "tmpfs-mode") {
      std::uint32_t mode = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), mode, 8);
      if (error != std::errc() || end != value.data() + value.size())
        refuse(fmt::format("invalid value for {}: {}", key, printable(value)));
      child(mount_, "TmpfsOptions")["Mode"] = mode;
    } else {
      return false;
    }
    return true;
  }

  static void pair(Object& into, const std::string& text) {
    const auto parts = split_once(text, '=');
    const std::string key(parts ? parts->first : std::string_view(text));
    into[key] = parts ? std::string(parts->second) : std::string();
  }

  static bool boolean(const std::string& key, const std::string& value) {
    try {
      return kFlag.convert(value).get_bool();
    } catch (const Error&) {
      refuse(fmt::format("invalid value for {}: {}", key, printable(value)));
    }
  }

  void mix(std::string_view options, std::string_view owner) {
    if (mount_.contains(boost::json::string_view(options.data(), options.size())) && type_ != owner)
      refuse(fmt::format("cannot mix '{}-*' options with mount type '{}'", owner, printable(type_)));
  }

  void check_recursion() {
    const Value* options = mount_.if_contains("BindOptions");
    if (options == nullptr) return;
    const Object& bind_options = options->get_object();
    const bool read_only = mount_.contains("ReadOnly") && mount_["ReadOnly"].get_bool();
    if (bind_options.contains("ReadOnlyNonRecursive") && !read_only)
      refuse("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction");
    if (!bind_options.contains("ReadOnlyForceRecursive")) return;
    if (!read_only) refuse("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction");
    const Value* propagation = bind_options.if_contains("Propagation");
    if (propagation == nullptr || propagation->get_string() != "rprivate")
      refuse("option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction");
  }

  std::string type_ = "volume";
  Object mount_;
};

Value mount(const std::string& text) {
  MountBuilder builder;
  for (const std::string& field : split_csv(text)) builder.field(field);
  return builder.finish();
}

}  // namespace

const ValueKind kMount = {"mount", ValueKind::Shape::list, mount};

}  // namespace bryo::cli

#include "oci/cdi/spec.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/strings.hpp"
#include "oci/cdi/yaml.hpp"

namespace bryo::json {

namespace cdi = oci::cdi;

template <>
struct Fields<cdi::DeviceNode> {
  using T = cdi::DeviceNode;
  static constexpr auto list = std::tuple{field("path", &T::path),
                                          field("hostPath", &T::host_path),
                                          field("type", &T::type),
                                          field("major", &T::major),
                                          field("minor", &T::minor),
                                          field("fileMode", &T::file_mode),
                                          field("permissions", &T::permissions),
                                          field("uid", &T::uid),
                                          field("gid", &T::gid)};
};
template <>
struct Fields<cdi::Mount> {
  using T = cdi::Mount;
  static constexpr auto list = std::tuple{field("hostPath", &T::host_path), field("containerPath", &T::container_path),
                                          field("type", &T::type), field("options", &T::options)};
};
template <>
struct Fields<cdi::Hook> {
  using T = cdi::Hook;
  static constexpr auto list = std::tuple{field("hookName", &T::name), field("path", &T::path), field("args", &T::args),
                                          field("env", &T::env), field("timeout", &T::timeout)};
};
template <>
struct Fields<cdi::NetDevice> {
  using T = cdi::NetDevice;
  static constexpr auto list = std::tuple{field("hostInterfaceName", &T::host_name), field("name", &T::name)};
};
template <>
struct Fields<cdi::IntelRdt> {
  using T = cdi::IntelRdt;
  static constexpr auto list = std::tuple{field("closID", &T::clos_id),
                                          field("l3CacheSchema", &T::l3_cache_schema),
                                          field("memBwSchema", &T::mem_bw_schema),
                                          field("schemata", &T::schemata),
                                          field("enableMonitoring", &T::enable_monitoring),
                                          field("enableCMT", &T::enable_cmt),
                                          field("enableMBM", &T::enable_mbm)};
};
template <>
struct Fields<cdi::ContainerEdits> {
  using T = cdi::ContainerEdits;
  static constexpr auto list = std::tuple{field("env", &T::env),
                                          field("deviceNodes", &T::device_nodes),
                                          field("netDevices", &T::net_devices),
                                          field("hooks", &T::hooks),
                                          field("mounts", &T::mounts),
                                          field("intelRdt", &T::intel_rdt),
                                          field("additionalGids", &T::additional_gids)};
};
template <>
struct Fields<cdi::Device> {
  using T = cdi::Device;
  static constexpr auto list =
      std::tuple{field("name", &T::name), field("annotations", &T::annotations), field("containerEdits", &T::edits)};
};
template <>
struct Fields<cdi::Spec> {
  using T = cdi::Spec;
  static constexpr auto list =
      std::tuple{field("cdiVersion", &T::version), field("kind", &T::kind), field("annotations", &T::annotations),
                 field("devices", &T::devices), field("containerEdits", &T::edits)};
};

}  // namespace bryo::json

namespace bryo::oci::cdi {
namespace {

constexpr std::array<std::string_view, 6> kHooks = {"prestart",       "createRuntime", "createContainer",
                                                    "startContainer", "poststart",     "poststop"};

[[noreturn]] void refuse(std::string_view field, std::string_view what) {
  fail(ErrorKind::invalid_argument, "{}: {}", field, what);
}

// --- fields that nobody knows: an edit that is left out would be a device that half works ---

template <typename T>
void refuse_unknown(const json::Value& value, const std::string& path);

template <typename Member>
void refuse_unknown_in(const json::Value& value, const std::string& path) {
  if constexpr (json::detail::is_vector<Member>::value) {
    if (!value.is_array()) return;
    for (std::size_t i = 0; i < value.get_array().size(); ++i)
      refuse_unknown_in<typename Member::value_type>(value.get_array()[i], fmt::format("{}[{}]", path, i));
  } else if constexpr (json::detail::is_optional<Member>::value) {
    refuse_unknown_in<typename Member::value_type>(value, path);
  } else if constexpr (json::Described<Member>) {
    refuse_unknown<Member>(value, path);
  }
}

template <typename T>
void refuse_unknown(const json::Value& value, const std::string& path) {
  if (!value.is_object()) return;
  for (const auto& [key, member] : value.get_object()) {
    const std::string name = to_lower(std::string_view(key.data(), key.size()));
    const std::string below = path + (path.empty() ? "" : ".") + std::string(key);
    bool known = false;
    std::apply(
        [&](const auto&... fields) {
          const auto one = [&](const auto& f) {
            if (to_lower(f.name) != name) return;
            known = true;
            refuse_unknown_in<std::remove_cvref_t<decltype(std::declval<T>().*(f.member))>>(member, below);
          };
          (one(fields), ...);
        },
        json::Fields<T>::list);
    if (!known) refuse(printable(below), "no such field is known");
  }
}

// --- names ---

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alphanumeric(char c) { return is_letter(c) || is_digit(c); }

bool is_name(std::string_view text, bool digit_first, std::string_view inner) {
  if (text.empty() || !is_alphanumeric(text.back())) return false;
  if (!is_letter(text.front()) && !(digit_first && is_digit(text.front()))) return false;
  return std::ranges::all_of(text,
                             [&](char c) { return is_alphanumeric(c) || inner.find(c) != std::string_view::npos; });
}

bool is_vendor_or_class(std::string_view text) { return text.size() <= 253 && is_name(text, false, "_-."); }
bool is_device_name(std::string_view text) { return is_name(text, true, "_-.:"); }

bool is_kind(std::string_view text) {
  const auto parts = split_once(text, '/');
  return parts && is_vendor_or_class(parts->first) && is_vendor_or_class(parts->second) && parts->second.size() <= 63;
}

// --- versions ---

struct Version {
  unsigned major = 0;
  unsigned minor = 0;
  auto operator<=>(const Version&) const = default;
};
constexpr Version kKnown{1, 1};

Version version_of(std::string_view text) {
  const std::string_view bare = text.starts_with('v') ? text.substr(1) : text;
  const auto parts = split(bare, '.');
  const auto number = [&](std::size_t i) {
    return i < parts.size() ? parse_integer<unsigned>(parts[i]) : std::nullopt;
  };
  if (parts.size() != 3 || !number(0) || !number(1) || !number(2))
    refuse("cdiVersion", fmt::format("\"{}\" is no version such as 1.1.0", printable(text)));
  const Version version{*number(0), *number(1)};
  if (version > kKnown)
    refuse("cdiVersion", fmt::format("{} is younger than 1.1, the last that this engine knows", printable(text)));
  return version;
}

// The first version that has what the file uses, and the field that makes it so.
class Needs {
 public:
  explicit Needs(const Spec& spec) {
    if (!spec.annotations.empty()) at_least({0, 6}, "annotations");
    if (spec.kind.substr(spec.kind.find('/')).find('.') != std::string::npos)
      at_least({0, 6}, "a dot in the class of kind");
    look_at(spec.edits);
    for (const Device& device : spec.devices) {
      if (is_digit(device.name.front())) at_least({0, 5}, "a device name that begins with a digit");
      if (!device.annotations.empty()) at_least({0, 6}, "annotations");
      look_at(device.edits);
    }
  }
  Version version{0, 3};
  std::string_view because;

 private:
  void at_least(Version wanted, std::string_view what) {
    if (wanted <= version) return;
    version = wanted;
    because = what;
  }
  void look_at(const ContainerEdits& edits) {
    for (const Mount& mount : edits.mounts)
      if (!mount.type.empty()) at_least({0, 4}, "mounts.type");
    for (const DeviceNode& node : edits.device_nodes)
      if (!node.host_path.empty()) at_least({0, 5}, "deviceNodes.hostPath");
    if (!edits.additional_gids.empty()) at_least({0, 7}, "additionalGids");
    if (edits.intel_rdt) at_least({0, 7}, "intelRdt");
    if (edits.intel_rdt && (edits.intel_rdt->schemata || edits.intel_rdt->enable_monitoring))
      at_least({1, 1}, "intelRdt.schemata and enableMonitoring");
    if (!edits.net_devices.empty()) at_least({1, 1}, "netDevices");
  }
};

// --- edits ---

void check_environment(const std::vector<std::string>& variables, const std::string& field) {
  for (const std::string& variable : variables)
    if (variable.find('=') == std::string::npos || variable.starts_with('=') ||
        variable.find('\0') != std::string::npos)
      refuse(field, fmt::format("\"{}\" is not NAME=VALUE", printable(variable)));
}

void check_path(const std::string& path, const std::string& field) {
  if (!path.starts_with('/') || path.find('\0') != std::string::npos)
    refuse(field, fmt::format("\"{}\" is not an absolute path", printable(path)));
}

void check_node(const DeviceNode& node, const std::string& field) {
  check_path(node.path, field + ".path");
  if (!node.host_path.empty()) check_path(node.host_path, field + ".hostPath");
  if (!node.type.empty() &&
      (node.type.size() != 1 || std::string_view("bcup").find(node.type) == std::string_view::npos))
    refuse(field + ".type", fmt::format("\"{}\" is none of b, c, u, p", printable(node.type)));
  if (node.permissions != "none" && node.permissions.find_first_not_of("rwm") != std::string::npos)
    refuse(field + ".permissions",
           fmt::format("\"{}\" is neither of r, w and m nor none", printable(node.permissions)));
}

void check_hook(const Hook& hook, const std::string& field) {
  if (std::ranges::find(kHooks, hook.name) == kHooks.end())
    refuse(field + ".hookName", fmt::format("\"{}\" is none of {}", printable(hook.name), fmt::join(kHooks, ", ")));
  check_path(hook.path, field + ".path");
  check_environment(hook.env, field + ".env");
  if (hook.timeout && *hook.timeout <= 0) refuse(field + ".timeout", "must be above 0");
}

void check_edits(const ContainerEdits& edits, const std::string& field) {
  const auto each = [&](const auto& list, const std::string& name, const auto& check) {
    for (std::size_t i = 0; i < list.size(); ++i) check(list[i], fmt::format("{}.{}[{}]", field, name, i));
  };
  check_environment(edits.env, field + ".env");
  each(edits.device_nodes, "deviceNodes", check_node);
  each(edits.hooks, "hooks", check_hook);
  each(edits.mounts, "mounts", [](const Mount& mount, const std::string& at) {
    if (mount.host_path.empty()) refuse(at + ".hostPath", "missing");
    check_path(mount.container_path, at + ".containerPath");
  });
  each(edits.net_devices, "netDevices", [](const NetDevice& device, const std::string& at) {
    if (device.host_name.empty() || device.name.empty()) refuse(at, "hostInterfaceName and name are both needed");
  });
}

void check(const Spec& spec) {
  const Version claimed = version_of(spec.version);
  if (!is_kind(spec.kind)) refuse("kind", fmt::format("\"{}\" is not vendor.com/class", printable(spec.kind)));
  if (spec.devices.empty()) refuse("devices", "there is none");
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < spec.devices.size(); ++i) {
    const Device& device = spec.devices[i];
    const std::string field = fmt::format("devices[{}]", i);
    if (!is_device_name(device.name))
      refuse(field + ".name", fmt::format("\"{}\" is no name for a device", printable(device.name)));
    if (!names.insert(device.name).second) refuse(field + ".name", fmt::format("{} is there twice", device.name));
    if (device.edits.empty()) refuse(field + ".containerEdits", "there is none");
    check_edits(device.edits, field + ".containerEdits");
  }
  check_edits(spec.edits, "containerEdits");
  const Needs needs(spec);
  if (claimed < needs.version)
    refuse("cdiVersion", fmt::format("{} does not have {}: it takes {}.{}.0", spec.version, needs.because,
                                     needs.version.major, needs.version.minor));
}

}  // namespace

bool ContainerEdits::empty() const {
  return env.empty() && device_nodes.empty() && net_devices.empty() && hooks.empty() && mounts.empty() && !intel_rdt &&
         additional_gids.empty();
}

void ContainerEdits::append(const ContainerEdits& other) {
  const auto add = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  add(env, other.env);
  add(device_nodes, other.device_nodes);
  add(net_devices, other.net_devices);
  add(hooks, other.hooks);
  add(mounts, other.mounts);
  if (other.intel_rdt) intel_rdt = other.intel_rdt;
  add(additional_gids, other.additional_gids);
}

Spec parse_spec(std::string_view text, Format format) {
  const json::Value value = format == Format::json ? json::parse(text) : yaml_to_json(text);
  if (!value.is_object())
    fail(ErrorKind::invalid_argument, "a CDI specification is an object with cdiVersion and kind");
  refuse_unknown<Spec>(value, "");
  Spec spec = json::decode<Spec>(value);
  check(spec);
  return spec;
}

bool is_qualified_name(std::string_view text) {
  const auto parts = split_once(text, '=');
  return parts && is_kind(parts->first) && is_device_name(parts->second);
}

}  // namespace bryo::oci::cdi

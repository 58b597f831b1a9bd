#include "cli/options/create_storage.hpp"

#include <fmt/format.h>

#include "base/strings.hpp"
#include "cli/format/path_text.hpp"

namespace bryo::cli {
namespace {

using json::Array;
using json::Object;
using json::Value;

[[noreturn]] void refuse(std::string message) { throw Error(ErrorKind::invalid_argument, std::move(message)); }

// SOURCE:TARGET[:OPTIONS]; the daemon checks the rest. Empty for TARGET alone.
std::string bind_of(const std::string& text) {
  if (text.empty()) refuse("invalid empty volume spec");
  const auto parts = split(text, ':');
  if (parts.size() == 1 || text.size() <= 2) return {};
  const auto invalid = [&](const char* why) { refuse(fmt::format("invalid spec: {}: {}", printable(text), why)); };
  for (const std::string_view part : parts)
    if (part.empty()) invalid("empty section between colons");
  if (parts.size() > 3) invalid("too many colons");
  // "./x" and "../x" are the caller's directories; a bare name is a volume.
  if (!parts[0].starts_with('.')) return text;
  return absolute_path(parts[0]) + text.substr(parts[0].size());
}

// vendor.com/class=name
bool is_cdi_name(const std::string& text) {
  const auto slash = text.find('/');
  const auto equals = text.find('=');
  return slash != std::string::npos && slash > 0 && equals != std::string::npos && equals > slash + 1 &&
         equals + 1 < text.size() && text.find(':') == std::string::npos;
}

}  // namespace

void add_storage(const Arguments& arguments, Object& body, Object& host) {
  Object anonymous;
  Array binds;
  for (const std::string& text : arguments.texts("volume")) {
    const std::string bind = bind_of(text);
    if (bind.empty())
      anonymous[text] = Object();
    else
      binds.push_back(Value(bind));
  }
  if (!anonymous.empty()) body["Volumes"] = std::move(anonymous);
  if (!binds.empty()) host["Binds"] = std::move(binds);
}

void add_devices(const Arguments& arguments, Object& host) {
  Array devices;
  Array names;
  for (const std::string& text : arguments.texts("device")) {
    if (is_cdi_name(text))
      names.push_back(Value(text));
    else
      devices.push_back(kDevice.convert(text));
  }
  if (!devices.empty()) host["Devices"] = std::move(devices);
  if (!names.empty()) host["DeviceRequests"] = Array{Object{{"Driver", "cdi"}, {"DeviceIDs", std::move(names)}}};
}

}  // namespace bryo::cli

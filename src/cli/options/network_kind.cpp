// --network NAME, or in its long form name=NAME,alias=A,ip=…,ip6=…,link-local-ip=…,mac-address=…,driver-opt=K=V.
#include <fmt/format.h>

#include "base/strings.hpp"
#include "cli/options/csv.hpp"
#include "cli/options/value_kind.hpp"

namespace bryo::cli {
namespace {

using json::Array;
using json::Object;
using json::Value;

[[noreturn]] void refuse(std::string message) { throw Error(ErrorKind::invalid_argument, std::move(message)); }

void append(Object& object, const char* name, const std::string& value) {
  Value& list = object[name];
  if (!list.is_array()) list = Array();
  list.get_array().push_back(Value(value));
}

void set_field(Object& out, const std::string& field) {
  const auto parts = split_once(field, '=');
  if (!parts || parts->second.empty()) refuse("invalid field " + printable(field));
  const std::string key = to_lower(trim(parts->first));
  const std::string value = to_lower(trim(parts->second));
  if (key == "name") {
    out["name"] = value;
  } else if (key == "alias") {
    append(out, "Aliases", value);
  } else if (key == "ip") {
    out["IPv4Address"] = value;
  } else if (key == "ip6") {
    out["IPv6Address"] = value;
  } else if (key == "link-local-ip") {
    append(out, "LinkLocalIPs", value);
  } else if (key == "mac-address") {
    out["MacAddress"] = value;
  } else if (key == "driver-opt") {
    const auto option = split_once(value, '=');
    if (!option) refuse("invalid key value pair format in driver options");
    Value& options = out["DriverOpts"];
    if (!options.is_object()) options = Object();
    options.get_object()[std::string(option->first)] = std::string(option->second);
  } else if (key == "gw-priority") {
    out["GwPriority"] = parse_go_integer(value, "Atoi");
  } else {
    refuse("invalid field key " + printable(key));
  }
}

Value network(const std::string& text) {
  Object out;
  if (text.find('=') == std::string::npos) {
    out["name"] = text;
    return out;
  }
  for (const std::string& field : split_csv(text)) set_field(out, field);
  if (!out.contains("name")) refuse("network name/id is not specified");
  return out;
}

}  // namespace

const ValueKind kNetwork = {"network", ValueKind::Shape::list, network};

}  // namespace bryo::cli

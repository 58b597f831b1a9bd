#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/strings.hpp"
#include "cli/format/json_text.hpp"
#include "cli/options/create_network.hpp"
#include "cli/options/create_options.hpp"
#include "cli/options/create_storage.hpp"
#include "cli/options/port_spec.hpp"
#include "cli/options/value_files.hpp"

namespace bryo::cli {
namespace {

using json::Array;
using json::Object;
using json::Value;

[[noreturn]] void refuse(std::string message) { throw Error(ErrorKind::invalid_argument, std::move(message)); }

Array to_array(const std::vector<std::string>& texts) {
  Array out;
  for (const std::string& text : texts) out.push_back(Value(text));
  return out;
}

// "", one of the allowed modes, or container:NAME where that is allowed.
void check_mode(const Arguments& arguments, const char* option, const char* kind,
                std::initializer_list<std::string_view> allowed, bool container_allowed) {
  const std::string mode = arguments.text(option);
  if (mode.empty() || std::find(allowed.begin(), allowed.end(), mode) != allowed.end()) return;
  if (container_allowed && mode.starts_with("container:") && mode.size() > 10) return;
  refuse(fmt::format("--{}: invalid {} mode", option, kind));
}

void check_modes(const Arguments& arguments) {
  check_mode(arguments, "pid", "PID", {"host"}, true);
  check_mode(arguments, "uts", "UTS", {"host"}, false);
  // auto and keep-id are Bryo's own: a range that no other container has, and the caller's ids.
  const std::string userns = arguments.text("userns");
  if (!userns.starts_with("auto:") && !userns.starts_with("keep-id:"))
    check_mode(arguments, "userns", "USER", {"host", "auto", "keep-id"}, false);
  check_mode(arguments, "cgroupns", "CGROUP", {"host", "private"}, false);
}

void add_streams(const Arguments& arguments, bool detached, Object& body) {
  std::set<std::string> attach;
  for (const Value& name : arguments.values("attach")) attach.emplace(name.get_string().c_str());
  if (detached && !attach.empty())
    throw Error(ErrorKind::invalid_argument, "conflicting options: cannot specify both --attach and --detach")
        .with_exit_code(1);
  const bool interactive = arguments.flag("interactive");
  bool in = attach.contains("stdin");
  bool out = attach.contains("stdout");
  bool err = attach.contains("stderr");
  if (attach.empty()) {
    out = err = true;
    in = interactive;
  }
  if (detached) in = out = err = false;
  body["AttachStdin"] = in;
  body["AttachStdout"] = out;
  body["AttachStderr"] = err;
  body["OpenStdin"] = interactive;
  body["StdinOnce"] = interactive && in;
}

void add_environment(const Arguments& arguments, Object& body) {
  std::vector<std::string> environment;
  for (const std::string& path : arguments.texts("env-file"))
    for (std::string& entry : read_value_file(path, true)) environment.push_back(std::move(entry));
  for (const Value& entry : arguments.values("env")) environment.emplace_back(entry.get_string().c_str());
  if (!environment.empty()) body["Env"] = to_array(environment);
}

void add_labels(const Arguments& arguments, Object& body) {
  Object labels;
  for (const std::string& path : arguments.texts("label-file"))
    for (const std::string& entry : read_value_file(path, false)) {
      const Value label = kLabel.convert(entry);
      for (const auto& item : label.get_object()) labels[item.key()] = item.value();
    }
  for (const Value& entry : arguments.values("label"))
    for (const auto& item : entry.get_object()) labels[item.key()] = item.value();
  body["Labels"] = std::move(labels);
}

void add_command(const Arguments& arguments, Object& body) {
  const auto& words = arguments.words();
  if (words.size() > 1) body["Cmd"] = to_array({words.begin() + 1, words.end()});
  // --entrypoint '' removes the image's.
  if (arguments.given("entrypoint")) body["Entrypoint"] = to_array({arguments.text("entrypoint")});
}

// NET_ADMIN, net_admin, CAP_NET_ADMIN → CAP_NET_ADMIN; ALL stands alone.
std::set<std::string> capabilities(const std::vector<std::string>& names) {
  std::set<std::string> out;
  for (const std::string& name : names) {
    std::string upper(trim(name));
    for (char& c : upper)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (upper == "ALL") return {"ALL"};
    out.insert(upper.starts_with("CAP_") ? upper : "CAP_" + upper);
  }
  return out;
}

void add_capabilities(const Arguments& arguments, Object& host) {
  const std::set<std::string> add = capabilities(arguments.texts("cap-add"));
  std::set<std::string> drop = capabilities(arguments.texts("cap-drop"));
  for (const std::string& name : add) drop.erase(name);
  if (!add.empty()) host["CapAdd"] = to_array({add.begin(), add.end()});
  if (!drop.empty()) host["CapDrop"] = to_array({drop.begin(), drop.end()});
}

std::string seccomp_profile(const std::string& path) {
  std::string text;
  try {
    text = read_small_file(path);
  } catch (const Error& error) {
    refuse(fmt::format("opening seccomp profile ({}) failed: {}", path, error.message()));
  }
  try {
    return compact_json(json::parse(text));
  } catch (const Error& error) {
    refuse(fmt::format("compacting json for seccomp profile ({}) failed: {}", path, error.message()));
  }
}

void add_security(const Arguments& arguments, Object& host) {
  std::vector<std::string> options;
  for (const std::string& text : arguments.texts("security-opt")) {
    auto parts = split_once(text, '=');
    if (!parts) parts = split_once(text, ':');
    if (!parts && text != "no-new-privileges" && text != "nested")
      refuse(fmt::format("Invalid --security-opt: \"{}\"", printable(text)));
    if (text == "systempaths=unconfined") {
      host["MaskedPaths"] = Array();
      host["ReadonlyPaths"] = Array();
    } else if (parts && parts->first == "seccomp" && parts->second != "unconfined" && parts->second != "builtin") {
      options.push_back("seccomp=" + seccomp_profile(std::string(parts->second)));
    } else {
      options.push_back(text);
    }
  }
  if (!options.empty()) host["SecurityOpt"] = to_array(options);
}

void add_health(const Arguments& arguments, int api_minor, Object& body) {
  constexpr std::array<std::pair<const char*, const char*>, 5> fields = {{{"health-interval", "Interval"},
                                                                          {"health-timeout", "Timeout"},
                                                                          {"health-start-period", "StartPeriod"},
                                                                          {"health-start-interval", "StartInterval"},
                                                                          {"health-retries", "Retries"}}};
  Object health;
  for (const auto& [option, field] : fields) {
    const auto value = arguments.number(option);
    if (!value || *value == 0) continue;
    if (*value < 0) refuse(fmt::format("--{} cannot be negative", option));
    if (std::string_view(option) == "health-start-interval" && api_minor < 44)
      fail(ErrorKind::unsupported, "\"--{}\" requires API version 1.44, but the Docker daemon API version is 1.{}",
           option, api_minor);
    health[field] = *value;
  }
  const std::string command = arguments.text("health-cmd");
  if (arguments.flag("no-healthcheck")) {
    if (!health.empty() || !command.empty()) refuse("--no-healthcheck conflicts with --health-* options");
    health["Test"] = Array{"NONE"};
  } else if (!command.empty()) {
    health["Test"] = Array{"CMD-SHELL", Value(command)};
  }
  if (!health.empty()) body["Healthcheck"] = std::move(health);
}

void add_ports(const Arguments& arguments, Object& body, Object& host) {
  Object exposed;
  Object bindings;
  for (const std::string& text : arguments.texts("publish"))
    for (const PortMapping& mapping : parse_publish(text)) {
      exposed[mapping.container] = Object();
      Value& list = bindings[mapping.container];
      if (!list.is_array()) list = Array();
      list.get_array().push_back(Object{{"HostIp", mapping.host_ip}, {"HostPort", mapping.host_port}});
    }
  for (const std::string& text : arguments.texts("expose"))
    for (const std::string& port : parse_expose(text)) exposed[port] = Object();
  if (!exposed.empty()) body["ExposedPorts"] = std::move(exposed);
  if (!bindings.empty()) host["PortBindings"] = std::move(bindings);
}

// The last limit of a name counts.
void add_ulimits(const Arguments& arguments, Object& host) {
  std::map<std::string, Value> limits;
  for (const Value& limit : arguments.values("ulimit")) limits[limit.at("Name").as_string().c_str()] = limit;
  if (limits.empty()) return;
  Array out;
  for (const auto& [name, limit] : limits) out.push_back(limit);
  host["Ulimits"] = std::move(out);
}

void add_restart(const Arguments& arguments, Object& host) {
  const Value policy = parse_restart_policy(arguments.text("restart", "no"));
  const auto& name = policy.at("Name").as_string();
  if (arguments.flag("rm") && !name.empty() && name != "no")
    refuse("conflicting options: cannot specify both --restart and --rm");
  host["RestartPolicy"] = policy;
}

void check_logging(const Arguments& arguments) {
  if (arguments.text("log-driver") == "none" && arguments.given("log-opt"))
    refuse("invalid logging opts for driver none");
}

void check_swappiness(const Arguments& arguments) {
  const auto swappiness = arguments.number("memory-swappiness");
  if (swappiness && *swappiness != -1 && (*swappiness < 0 || *swappiness > 100))
    refuse(fmt::format("invalid value: {}. Valid memory swappiness range is 0-100", *swappiness));
}

}  // namespace

json::Value parse_restart_policy(const std::string& text) {
  Object out{{"Name", text}, {"MaximumRetryCount", 0}};
  const auto parts = split_once(text, ':');
  if (!parts) return out;
  if (parts->first.empty()) refuse("invalid restart policy format: no policy provided before colon");
  out["Name"] = std::string(parts->first);
  if (!parts->second.empty()) {
    const auto count = parse_integer<std::int64_t>(parts->second);
    if (!count) refuse("invalid restart policy format: maximum retry count must be an integer");
    out["MaximumRetryCount"] = *count;
  }
  return out;
}

CreateRequest build_create_request(const Arguments& arguments, bool detached, int api_minor) {
  CreateRequest out;
  out.image = arguments.words().at(0);
  out.name = arguments.text("name");
  out.platform = arguments.text("platform");
  Object& body = out.body;
  body["Image"] = out.image;
  body["HostConfig"] = Object();
  check_swappiness(arguments);
  add_streams(arguments, detached, body);
  add_environment(arguments, body);
  add_labels(arguments, body);
  add_command(arguments, body);
  check_modes(arguments);
  check_logging(arguments);
  arguments.fill(body);
  Object& host = body["HostConfig"].as_object();
  add_ports(arguments, body, host);
  add_storage(arguments, body, host);
  add_devices(arguments, host);
  add_capabilities(arguments, host);
  add_security(arguments, host);
  add_health(arguments, api_minor, body);
  add_ulimits(arguments, host);
  add_restart(arguments, host);
  add_network(arguments, api_minor, body, host);
  return out;
}

}  // namespace bryo::cli

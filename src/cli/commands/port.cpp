// port: where a container's ports are published; port add, port rm: change that while it runs (an addition of ours).
#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/escape.hpp"
#include "cli/options/port_spec.hpp"

namespace bryo::cli {
namespace {

std::string address_of(const json::Value& binding) {
  const std::string ip = text_at(binding, "HostIp");
  return fmt::format(fmt::runtime(ip.find(':') == std::string::npos ? "{}:{}" : "[{}]:{}"), ip,
                     text_at(binding, "HostPort"));
}

// 80/tcp before 443/tcp: by number, then by protocol.
bool port_less(const std::string& a, const std::string& b) {
  const auto number = [](const std::string& port) { return parse_integer<int>(split(port, '/')[0]).value_or(0); };
  return std::pair(number(a), a) < std::pair(number(b), b);
}

void print_ports(Context& context, const json::Object& ports) {
  std::vector<std::string> names;
  for (const auto& item : ports) names.emplace_back(item.key().data(), item.key().size());
  std::sort(names.begin(), names.end(), port_less);
  for (const std::string& port : names)
    for (const json::Value& binding : array_at(ports.at(port), ""))
      context.out.print("{} -> {}\n", terminal_safe(port), terminal_safe(address_of(binding)));
}

int show_ports(Context& context, const std::vector<std::string>& words) {
  const std::string& name = words[0];
  const json::Value container = context.client().get(container_path(name, "/json")).json();
  const json::Object& ports = object_at(container, "NetworkSettings.Ports");
  if (words.size() == 1) {
    print_ports(context, ports);
    return 0;
  }
  std::string wanted = words[1];
  if (wanted.find('/') == std::string::npos) wanted += "/tcp";
  const json::Value* found = ports.if_contains(wanted);
  if (found == nullptr || !found->is_array() || found->get_array().empty())
    fail(ErrorKind::not_found, "Error: No public port '{}' published for {}", printable(words[1]), printable(name));
  for (const json::Value& binding : found->get_array()) context.out.print("{}\n", terminal_safe(address_of(binding)));
  return 0;
}

// As HostConfig.PortBindings.
json::Object bindings_of(std::span<const std::string> texts) {
  json::Object bindings;
  for (const std::string& text : texts)
    for (const PortMapping& mapping : parse_publish(text)) {
      json::Value& list = bindings[mapping.container];
      if (!list.is_array()) list = json::Array();
      list.get_array().push_back(json::Object{{"HostIp", mapping.host_ip}, {"HostPort", mapping.host_port}});
    }
  return bindings;
}

int change_ports(Context& context, const std::vector<std::string>& words) {
  const bool add = words[0] == "add";
  const json::Object bindings = bindings_of(std::span(words).subspan(2));
  const std::string target = "/bryo" + container_path(words[1], "/ports");
  if (!add) {
    context.client().remove(target, bindings);
    return 0;
  }
  const json::Value answer = context.client().post(target, bindings).json();
  json::Object added;
  for (const auto& item : object_at(answer, ""))
    if (bindings.contains(item.key())) added.insert(item);
  print_ports(context, added);
  return 0;
}

// Docker's command takes one word or two, so three are ours: a container may be called "add".
int run_port(Context& context, const Arguments& arguments) {
  const auto& words = arguments.words();
  if (words.size() <= 2) return show_ports(context, words);
  if (words[0] == "add" || words[0] == "rm") return change_ports(context, words);
  fail(ErrorKind::invalid_argument,
       "bryo port takes a container and at most one of its ports; to change them: bryo port add|rm CONTAINER PORT...");
}

}  // namespace

const Command kPort = {.names = "port|container port",
                       .usage = "CONTAINER [PRIVATE_PORT[/PROTO]] | add|rm CONTAINER [[HOST_IP:]HOST_PORT:]PORT[/PROTO]...",
                       .summary = "Show, add or remove published ports of a container",
                       .minimum = 1,
                       .run = run_port};

}  // namespace bryo::cli

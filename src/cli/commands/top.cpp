// top, diff, port: small looks at one container.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/escape.hpp"
#include "cli/format/tabwriter.hpp"

namespace bryo::cli {
namespace {

int run_top(Context& context, const Arguments& arguments) {
  const auto& words = arguments.words();
  const std::string options = join(std::span(words).subspan(1), " ");
  const json::Value table =
      context.client()
          .get(container_path(words[0], "/top") + Query().add_if(!options.empty(), "ps_args", options).str())
          .json();
  const auto row = [](const std::vector<std::string>& cells) {
    std::vector<std::string> safe;
    for (const std::string& cell : cells) safe.push_back(terminal_safe(cell));
    return join(safe, "\t") + "\n";
  };
  std::string text = row(texts_at(table, "Titles"));
  for (const json::Value& process : array_at(table, "Processes")) text += row(texts_at(process, ""));
  context.out.write(align_tabs(text, {20, 3}));
  return 0;
}

int run_diff(Context& context, const Arguments& arguments) {
  const json::Value changes = context.client().get(container_path(arguments.words()[0], "/changes")).json();
  for (const json::Value& change : array_at(changes, "")) {
    const std::int64_t kind = number_at(change, "Kind");
    context.out.print("{} {}\n", kind == 0 ? "C" : kind == 1 ? "A" : "D", terminal_safe(text_at(change, "Path")));
  }
  return 0;
}

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

int run_port(Context& context, const Arguments& arguments) {
  const std::string& name = arguments.words()[0];
  const json::Value container = context.client().get(container_path(name, "/json")).json();
  const json::Object& ports = object_at(container, "NetworkSettings.Ports");
  if (arguments.words().size() > 1) {
    std::string wanted = arguments.words()[1];
    if (wanted.find('/') == std::string::npos) wanted += "/tcp";
    const json::Value* found = ports.if_contains(wanted);
    if (found == nullptr || !found->is_array() || found->get_array().empty())
      fail(ErrorKind::not_found, "Error: No public port '{}' published for {}", printable(arguments.words()[1]),
           printable(name));
    for (const json::Value& binding : found->get_array()) context.out.print("{}\n", terminal_safe(address_of(binding)));
    return 0;
  }
  std::vector<std::string> names;
  for (const auto& item : ports) names.emplace_back(item.key().data(), item.key().size());
  std::sort(names.begin(), names.end(), port_less);
  for (const std::string& port : names)
    for (const json::Value& binding : array_at(ports.at(port), ""))
      context.out.print("{} -> {}\n", terminal_safe(port), terminal_safe(address_of(binding)));
  return 0;
}

}  // namespace

const Command kTop = {.names = "top|container top",
                      .usage = "CONTAINER [ps OPTIONS]",
                      .summary = "Show the processes of a container",
                      .minimum = 1,
                      .run = run_top,
                      .interspersed = false};
const Command kDiff = {.names = "diff|container diff",
                       .usage = "CONTAINER",
                       .summary = "Show what changed in a container's file system",
                       .minimum = 1,
                       .maximum = 1,
                       .run = run_diff};
const Command kPort = {.names = "port|container port",
                       .usage = "CONTAINER [PRIVATE_PORT[/PROTO]]",
                       .summary = "Show where a container's ports are published",
                       .minimum = 1,
                       .maximum = 2,
                       .run = run_port};

}  // namespace bryo::cli

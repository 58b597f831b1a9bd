#include "engine/port_changes.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "engine/ports.hpp"

namespace bryo::engine {
namespace {

using network::PublishedPort;

// A binding with what it has become on the host: nothing when the container does not run.
struct Group {
  PortBinding binding;
  std::vector<PublishedPort> ports;
  bool chosen = false;
};

bool is_one_port(const PortBinding& binding) {
  return !binding.host_port.empty() && binding.host_port.find('-') == std::string::npos;
}

bool may_be_of(const PublishedPort& port, const PortBinding& binding) {
  if (!binding.host_ip.empty() && binding.host_ip != port.host_ip) return false;
  const auto [first, last] = host_port_range(binding.host_port);
  return first == 0 || (first <= port.host_port && port.host_port <= last);
}

// Takes the ports of one binding out of `left`: one number, at each of its addresses.
std::vector<PublishedPort> take_ports_of(const PortBinding& binding, std::vector<PublishedPort>& left) {
  std::vector<PublishedPort> taken;
  std::erase_if(left, [&](const PublishedPort& port) {
    if (!may_be_of(port, binding) || (!taken.empty() && taken.front().host_port != port.host_port)) return false;
    taken.push_back(port);
    return true;
  });
  return taken;
}

// Bindings that leave the choice of the number to us take what the others have left, in the order of publication.
std::vector<Group> group(const std::vector<PortBinding>& bindings, std::vector<PublishedPort>& left) {
  std::vector<Group> groups;
  for (const PortBinding& binding : bindings) groups.push_back({binding, {}, false});
  for (const bool one_port : {true, false})
    for (Group& each : groups)
      if (is_one_port(each.binding) == one_port) each.ports = take_ports_of(each.binding, left);
  return groups;
}

bool names(const PortBinding& wanted, const PublishedPort& port) {
  return (wanted.host_ip.empty() || wanted.host_ip == port.host_ip) &&
         (wanted.host_port.empty() || wanted.host_port == std::to_string(port.host_port));
}

bool names(const PortBinding& wanted, const Group& group) {
  if (std::any_of(group.ports.begin(), group.ports.end(), [&](const auto& port) { return names(wanted, port); }))
    return true;
  return (wanted.host_ip.empty() || wanted.host_ip == group.binding.host_ip) &&
         (wanted.host_port.empty() || wanted.host_port == group.binding.host_port);
}

std::string text_of(const PortBinding& binding, const std::string& key) {
  return printable(fmt::format("{}:{}:{}", binding.host_ip, binding.host_port, key));
}

void choose(std::vector<Group>& groups, const PortBinding& wanted, const std::string& key,
            const std::vector<PublishedPort>& others, const Record& record) {
  bool any = false;
  for (Group& each : groups) {
    if (!names(wanted, each)) continue;
    const bool whole = wanted.host_ip.empty() || wanted.host_ip == each.binding.host_ip ||
                       std::all_of(each.ports.begin(), each.ports.end(),
                                   [&](const auto& port) { return port.host_ip == wanted.host_ip; });
    if (!whole)
      fail(ErrorKind::conflict, "port {} of container {} is published at every address of the host at once: name it "
           "without an address to remove it", each.binding.host_port, record.name);
    each.chosen = any = true;
  }
  if (any) return;
  if (std::any_of(others.begin(), others.end(), [&](const auto& port) { return names(wanted, port); }))
    fail(ErrorKind::conflict, "{} of container {} is published by --publish-all and would come back with its next start",
         text_of(wanted, key), record.name);
  fail(ErrorKind::not_found, "container {} does not publish {}", record.name, text_of(wanted, key));
}

}  // namespace

PortMap clean_port_map(const PortMap& wanted) {
  Record record;
  record.host_config.port_bindings = wanted;
  parse_port_map(record);
  return std::move(record.host_config.port_bindings);
}

void add_bindings(PortMap& bindings, const PortMap& more) {
  for (const auto& [key, list] : more) {
    auto& there = bindings[key];
    there.insert(there.end(), list.begin(), list.end());
  }
}

PortRemoval resolve_removal(const Record& record, const std::vector<PublishedPort>& published, const PortMap& wanted) {
  PortRemoval out;
  out.bindings = record.host_config.port_bindings;
  for (const auto& [key, list] : clean_port_map(wanted)) {
    std::vector<PublishedPort> left;
    std::copy_if(published.begin(), published.end(), std::back_inserter(left), [&, &port_key = key](const auto& port) {
      return fmt::format("{}/{}", port.container_port, port.protocol) == port_key;
    });
    auto& bindings = out.bindings[key];
    auto groups = group(bindings, left);
    for (const PortBinding& each : list.empty() ? std::vector<PortBinding>{{}} : list)
      choose(groups, each, key, left, record);
    bindings.clear();
    for (Group& each : groups) {
      if (each.chosen)
        out.ports.insert(out.ports.end(), each.ports.begin(), each.ports.end());
      else
        bindings.push_back(std::move(each.binding));
    }
    if (bindings.empty()) out.bindings.erase(key);
  }
  return out;
}

}  // namespace bryo::engine

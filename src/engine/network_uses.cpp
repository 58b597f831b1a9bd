#include "engine/network_uses.hpp"

#include <fcntl.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "engine/endpoint_request.hpp"
#include "engine/port_uses.hpp"
#include "engine/ports.hpp"
#include "kernel/files.hpp"

namespace bryo::engine {
namespace {

using Values = std::vector<std::string>;

bool any(const Values& values, const std::function<bool(const std::string&)>& test) {
  return std::any_of(values.begin(), values.end(), test);
}

bool label_matches(const std::map<std::string, std::string>& labels, const std::string& wanted) {
  const auto parts = split_once(wanted, '=');
  const auto found = labels.find(std::string(parts ? parts->first : std::string_view(wanted)));
  return found != labels.end() && (!parts || found->second == parts->second);
}

UniqueFd netns_of(int pid) { return kernel::open_trusted(fmt::format("/proc/{}/ns/net", pid), O_RDONLY); }

void check_joinable(const Container& container) {
  const std::string& mode = container.record.host_config.network_mode;
  if (mode == "host")
    fail(ErrorKind::invalid_argument,
         "container cannot be disconnected from host network or connected to host network");
  if (mode.starts_with("container:"))
    fail(ErrorKind::invalid_argument,
         "container sharing network namespace with another container or host cannot be connected to "
         "any other network");
}

}  // namespace

json::Value NetworkUses::view(const network::NetworkConfig& config, bool with_containers) const {
  json::Value out = json::encode(config);
  json::Object& object = out.as_object();
  object["ConfigFrom"] = json::Object{{"Network", ""}};
  object["ConfigOnly"] = false;
  json::Object containers;
  if (with_containers)
    for (const auto& endpoint : s_.networks.endpoints(config.id))
      containers[endpoint.container_id] = json::encode(endpoint);
  object["Containers"] = std::move(containers);
  return out;
}

bool NetworkUses::matches(const network::NetworkConfig& config, const Filters& filters) const {
  for (const auto& [name, values] : filters) {
    bool ok = true;
    if (name == "name")
      ok = any(values, [&](auto& x) { return config.name.find(x) != std::string::npos; });
    else if (name == "id")
      ok = any(values, [&](auto& x) { return config.id.find(x) != std::string::npos; });
    else if (name == "driver")
      ok = any(values, [&](auto& x) { return config.driver == x; });
    else if (name == "scope")
      ok = any(values, [&](auto& x) { return config.scope == x; });
    else if (name == "type")
      ok = any(values, [&](auto& x) { return x == (config.predefined() ? "builtin" : "custom"); });
    else if (name == "label")
      ok = std::all_of(values.begin(), values.end(), [&](auto& x) { return label_matches(config.labels, x); });
    else if (name == "dangling")
      ok = any(values, [&](auto& x) {
        return (x == "true" || x == "1") == (!config.predefined() && s_.networks.endpoints(config.id).empty());
      });
    else if (name != "until")
      fail(ErrorKind::invalid_argument, "invalid filter '{}'", printable(name));
    if (!ok) return false;
  }
  return true;
}

json::Value NetworkUses::list(const Filters& filters) {
  matches({}, filters);  // also when there is no network, unknown filters are an error
  json::Array out;
  for (const auto& config : s_.networks.list())
    if (matches(config, filters)) out.push_back(view(config, false));
  return out;
}

json::Value NetworkUses::inspect(std::string_view ref, std::string_view scope) {
  const auto config = s_.networks.find(ref);
  if (!scope.empty() && scope != config.scope) fail(ErrorKind::not_found, "network {} not found", printable(ref));
  return view(config, true);
}

json::Value NetworkUses::create(const NetworkCreateRequest& request) {
  network::NetworkCreate wanted;
  wanted.name = request.name;
  wanted.driver = request.driver.empty() ? "bridge" : request.driver;
  wanted.internal = request.internal;
  wanted.attachable = request.attachable;
  wanted.ingress = request.ingress;
  wanted.enable_ipv6 = request.enable_ipv6;
  if (!request.ipam.is_null()) wanted.ipam = json::decode<network::IpamConfig>(request.ipam, "IPAM");
  if (wanted.ipam.driver.empty()) wanted.ipam.driver = "default";
  wanted.options = request.options;
  wanted.labels = request.labels;
  const auto made = s_.networks.create(wanted);
  s_.events.publish("network", "create", made.config.id, {{"name", made.config.name}, {"type", made.config.driver}});
  return json::Object{{"Id", made.config.id}, {"Warning", made.warning}};
}

void NetworkUses::remove(std::string_view ref) {
  const auto config = s_.networks.find(ref);
  s_.networks.remove(config.id);
  s_.events.publish("network", "destroy", config.id, {{"name", config.name}, {"type", config.driver}});
}

void NetworkUses::connect(std::string_view ref, const ContainerPtr& container, const EndpointSettings& settings) {
  check_endpoint(settings);
  std::lock_guard operation(container->operation);
  const auto config = s_.networks.find(ref);
  Record record;
  bool up = false;
  {
    std::lock_guard lock(container->mutex);
    up = container->is_up();
    check_joinable(*container);
    if (config.driver == "host")
      fail(ErrorKind::invalid_argument,
           "container cannot be disconnected from host network or connected to host network");
    if (container->record.networks.contains(config.name))
      fail(ErrorKind::permission, "endpoint with name {} already exists in network {}", container->record.name,
           config.name);
  }
  if (up) connect_live(*container, config, settings);
  {
    std::lock_guard lock(container->mutex);
    // none and another network exclude each other: connecting ends none.
    container->record.networks.erase("none");
    container->record.networks[config.name] = settings;
    record = container->record;
  }
  s_.save(record);
  s_.events.publish("network", "connect", config.id,
                    {{"container", record.id}, {"name", config.name}, {"type", config.driver}});
}

void NetworkUses::connect_live(Container& container, const network::NetworkConfig& config,
                               const EndpointSettings& settings) {
  Record record;
  std::vector<network::Endpoint> before;
  unsigned index = 0;
  int pid = 0;
  {
    std::lock_guard lock(container.mutex);
    record = container.record;
    before = container.endpoints;
    pid = container.process.pid;
  }
  for (const auto& endpoint : before)
    if (const auto number = parse_integer<unsigned>(
            std::string_view(endpoint.interface_name).substr(std::min<std::size_t>(3, endpoint.interface_name.size()))))
      index = std::max(index, *number + 1);
  // The first that leads out.
  const bool way_out = s_.networks.gateway_endpoint(before) == network::NetworkManager::npos;
  network::Endpoint endpoint = s_.networks.reserve(config.name, endpoint_request(record, config.name, settings));
  try {
    const UniqueFd netns = netns_of(pid);
    s_.networks.attach(endpoint, netns.get(), index, way_out);
    if (s_.networks.needs_dns({endpoint}))
      s_.networks.serve_dns(record.id, netns.get(), lifecycle_.launcher().dns_of(record));
  } catch (...) {
    s_.networks.release(endpoint);
    throw;
  }
  std::vector<network::Endpoint> after = before;
  after.push_back(endpoint);
  {
    std::lock_guard lock(container.mutex);
    container.endpoints = after;
  }
  if (way_out) publish_ports(s_, container, endpoint, ports_to_publish(record, s_.options.default_publish_ip));
  lifecycle_.launcher().rewrite_files(record, before, after);
  lifecycle_.launcher().remember_network(container);
}

void NetworkUses::disconnect(std::string_view ref, const ContainerPtr& container) {
  std::lock_guard operation(container->operation);
  const auto config = s_.networks.find(ref);
  Record record;
  std::optional<network::Endpoint> left;
  std::vector<network::Endpoint> before, after;
  int pid = 0;
  {
    std::lock_guard lock(container->mutex);
    if (config.driver == "host")
      fail(ErrorKind::invalid_argument,
           "container cannot be disconnected from host network or connected to host network");
    if (container->record.networks.erase(config.name) == 0)
      fail(ErrorKind::permission, "container {} is not connected to network {}", container->record.id, config.name);
    before = after = container->endpoints;
    const auto found = std::find_if(after.begin(), after.end(),
                                    [&](const auto& endpoint) { return endpoint.network_id == config.id; });
    if (found != after.end()) {
      left = std::move(*found);
      after.erase(found);
    }
    container->endpoints = after;
    pid = container->process.pid;
    record = container->record;
  }
  if (left && pid != 0) {
    const auto ports = withdraw_ports(s_, *container, *left);
    const UniqueFd netns = netns_of(pid);
    s_.networks.detach(*left, netns.get());
    s_.networks.release(*left);
    if (const auto next = s_.networks.gateway_endpoint(after); next != network::NetworkManager::npos) {
      s_.networks.set_default_gateway(after[next], netns.get());
      publish_ports(s_, *container, after[next], same_ports(ports));
    }
    lifecycle_.launcher().rewrite_files(record, before, after);
    lifecycle_.launcher().remember_network(*container);
  }
  s_.save(record);
  s_.events.publish("network", "disconnect", config.id,
                    {{"container", record.id}, {"name", config.name}, {"type", config.driver}});
}

json::Value NetworkUses::prune(const Filters& filters) {
  json::Array removed;
  std::set<std::string> wanted;  // by containers that do not run
  for (const ContainerPtr& container : s_.containers.all()) {
    std::lock_guard lock(container->mutex);
    for (const auto& [name, settings] : container->record.networks) wanted.insert(name);
  }
  for (const auto& config : s_.networks.list()) {
    if (config.predefined() || wanted.contains(config.name) || !matches(config, filters)) continue;
    if (!s_.networks.endpoints(config.id).empty()) continue;
    remove(config.id);
    removed.push_back(boost::json::string(config.name));
  }
  return json::Object{{"NetworksDeleted", removed.empty() ? json::Value(nullptr) : json::Value(std::move(removed))}};
}

}  // namespace bryo::engine

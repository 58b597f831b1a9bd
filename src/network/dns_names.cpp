#include "network/dns_names.hpp"

#include <algorithm>

#include "base/strings.hpp"

namespace bryo::network {

using kernel::Family;
using kernel::IpAddress;

namespace {

// "db:database" → database means db; "db" alone → db means db.
std::map<std::string, std::string> parse_links(const std::vector<std::string>& links) {
  std::map<std::string, std::string> out;
  for (const std::string& link : links) {
    const auto parts = split_once(link, ':');
    const std::string target = to_lower(parts ? parts->first : std::string_view(link));
    const std::string alias = to_lower(parts ? parts->second : std::string_view(link));
    if (!target.empty() && !alias.empty()) out[alias] = target;
  }
  return out;
}

}  // namespace

void DnsNames::add(const Endpoint& endpoint, bool open) {
  remove(endpoint.endpoint_id);
  Entry entry;
  entry.endpoint = endpoint;
  entry.open = open;
  entry.links = parse_links(endpoint.links);
  entry.v4 = IpAddress::try_parse(endpoint.ip_address).value_or(IpAddress());
  entry.v6 = IpAddress::try_parse(endpoint.ipv6_address).value_or(IpAddress());
  for (const std::string& name : endpoint.dns_names) entry.names.push_back(to_lower(name));
  const std::lock_guard lock(mutex_);
  const Entry& stored = entries_.insert_or_assign(endpoint.endpoint_id, std::move(entry)).first->second;
  for (const std::string& name : stored.names) names_[endpoint.network_id][name].push_back(&stored);
  containers_[endpoint.container_id][endpoint.network_name] = &stored;
}

void DnsNames::remove(const std::string& endpoint_id) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(endpoint_id);
  if (found == entries_.end()) return;
  const Entry& entry = found->second;
  auto& network = names_[entry.endpoint.network_id];
  for (const std::string& name : entry.names) {
    std::erase(network[name], &entry);
    if (network[name].empty()) network.erase(name);
  }
  if (network.empty()) names_.erase(entry.endpoint.network_id);
  auto& networks = containers_[entry.endpoint.container_id];
  std::erase_if(networks, [&](const auto& item) { return item.second == &entry; });
  if (networks.empty()) containers_.erase(entry.endpoint.container_id);
  entries_.erase(found);
}

std::vector<const DnsNames::Entry*> DnsNames::entries_of(const std::string& container_id) const {
  std::vector<const Entry*> out;
  if (const auto found = containers_.find(container_id); found != containers_.end()) {
    for (const auto& [network, entry] : found->second) out.push_back(entry);
  }
  return out;
}

DnsNames::Found DnsNames::in_network(const Entry& viewer, std::string_view name, Family family) const {
  std::string wanted(name);
  if (const auto link = viewer.links.find(wanted); link != viewer.links.end()) wanted = link->second;
  Found found;
  const auto network = names_.find(viewer.endpoint.network_id);
  if (network == names_.end()) return found;
  const auto owners = network->second.find(wanted);
  if (owners == network->second.end()) return found;
  found.known = true;
  for (const Entry* entry : owners->second) {
    const IpAddress& address = family == Family::v6 ? entry->v6 : entry->v4;
    if (!address.empty()) found.addresses.push_back(address);
  }
  return found;
}

DnsNames::Found DnsNames::in_networks(const std::vector<const Entry*>& viewers, std::string_view name,
                                      Family family) const {
  Found known;
  for (const Entry* viewer : viewers) {
    Found found = in_network(*viewer, name, family);
    if (!found.addresses.empty()) return found;
    known.known |= found.known;
  }
  return known;
}

DnsNames::Found DnsNames::resolve(const std::string& container_id, std::string_view name, Family family) const {
  const std::string wanted = to_lower(name);
  if (wanted.empty()) return {};
  const std::lock_guard lock(mutex_);
  const std::vector<const Entry*> viewers = entries_of(container_id);
  Found found = in_networks(viewers, wanted, family);
  // Both names may have dots: "a.b.c" is a.b in network c, or a in network b.c.
  for (std::size_t dot = wanted.rfind('.'); !found.known && dot != std::string::npos && dot > 0;
       dot = wanted.rfind('.', dot - 1)) {
    const std::string_view network = std::string_view(wanted).substr(dot + 1);
    std::vector<const Entry*> named;
    std::copy_if(viewers.begin(), viewers.end(), std::back_inserter(named),
                 [&](const Entry* entry) { return iequals(entry->endpoint.network_name, network); });
    if (!named.empty()) found = in_networks(named, std::string_view(wanted).substr(0, dot), family);
  }
  return found;
}

std::optional<std::string> DnsNames::reverse(const std::string& container_id, const IpAddress& address) const {
  const std::lock_guard lock(mutex_);
  for (const Entry* viewer : entries_of(container_id)) {
    for (const auto& [id, entry] : entries_) {
      if (entry.endpoint.network_id != viewer->endpoint.network_id) continue;
      if (!entry.names.empty() && (entry.v4 == address || entry.v6 == address))
        return entry.endpoint.container_name + "." + entry.endpoint.network_name;
    }
  }
  return std::nullopt;
}

bool DnsNames::leads_out(const std::string& container_id) const {
  const std::lock_guard lock(mutex_);
  const auto entries = entries_of(container_id);
  return std::any_of(entries.begin(), entries.end(), [](const Entry* entry) { return entry->open; });
}

}  // namespace bryo::network

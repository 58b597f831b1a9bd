#include "network/network_table.hpp"

#include <algorithm>

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "base/time.hpp"

namespace bryo::network {

using kernel::Family;
using kernel::IpAddress;
using kernel::IpPrefix;

namespace {

constexpr std::size_t kLongestName = 255;
constexpr std::size_t kShortestPrefix = 1;
constexpr std::size_t kLongestInterface = 15;
// Docker's name for --default-gateway among the auxiliary addresses of the default bridge.
constexpr std::string_view kContainerGateway = "DefaultGatewayIPv4";

// names.RestrictedNamePattern of moby, and spaces within; never a path, never a rule (CVE-2021-20206).
void check_network_name(const std::string& name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-' || c == ' ';
  };
  const bool good = !name.empty() && name.size() <= kLongestName && std::all_of(name.begin(), name.end(), allowed) &&
                    name[0] != '_' && name[0] != '.' && name[0] != '-' && name[0] != ' ' && name.back() != ' ';
  if (!good)
    fail(ErrorKind::invalid_argument,
         "invalid network name \"{}\": only [a-zA-Z0-9][a-zA-Z0-9_.-], and spaces within, are allowed",
         printable(name, 80));
}

void check_driver(const std::string& driver, bool with_bypass) {
  if (driver == "bridge" || (driver == kBypass && with_bypass)) return;
  if (driver == kBypass)
    fail(ErrorKind::unsupported,
         "network driver bypass is for a rootless engine with a user-mode network, on Linux 5.19 or newer: here there "
         "is nothing to bypass; use "
         "bridge");
  if (driver == "host" || driver == "null")
    fail(ErrorKind::permission, "only one instance of \"{}\" network is allowed", driver);
  if (driver == "macvlan" || driver == "ipvlan" || driver == "overlay")
    fail(ErrorKind::unsupported, "network driver {} is not supported yet: use bridge", driver);
  fail(ErrorKind::not_found, "plugin \"{}\" not found", printable(driver, 80));
}

std::string option_of(const NetworkConfig& config, std::string_view name, std::string_view otherwise) {
  const auto found = config.options.find(std::string(name));
  return found == config.options.end() || found->second.empty() ? std::string(otherwise) : found->second;
}

// Go's strconv.ParseBool.
bool truth_of(const NetworkConfig& config, std::string_view name, bool otherwise) {
  const std::string text = option_of(config, name, otherwise ? "true" : "false");
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  fail(ErrorKind::invalid_argument, "invalid value \"{}\" for network option {}: true or false", printable(text, 40),
       name);
}

int mtu_of(const NetworkConfig& config, int otherwise) {
  const std::string text = option_of(config, kOptionMtu, std::to_string(otherwise));
  const auto mtu = parse_integer<int>(text);
  // 68 is IPv4's smallest (RFC 791), 1280 IPv6's; 0 leaves it to the kernel.
  if (!mtu || *mtu < 0 || (*mtu > 0 && *mtu < 68) || *mtu > 65535)
    fail(ErrorKind::invalid_argument, "invalid value \"{}\" for network option {}: 68 to 65535", printable(text, 40),
         kOptionMtu);
  return *mtu;
}

void add_unique(std::vector<std::string>& list, const std::string& item) {
  if (!item.empty() && std::find(list.begin(), list.end(), item) == list.end()) list.push_back(item);
}

// The one pool of this family; nullptr when the network has none.
const IpamPool* pool_of(const NetworkConfig& config, Family family) {
  for (const IpamPool& pool : config.ipam.pools) {
    if (IpPrefix::parse(pool.subnet).family() == family) return &pool;
  }
  return nullptr;
}

void fill_addresses(const IpamPool& pool, std::optional<SubnetAddresses>& addresses, IpAddress& gateway) {
  const IpPrefix subnet = IpPrefix::parse(pool.subnet);
  addresses.emplace(subnet, pool.ip_range.empty() ? std::nullopt : std::optional(IpPrefix::parse(pool.ip_range)));
  gateway = IpAddress::parse(pool.gateway);
  if (!addresses->take(gateway))
    fail(ErrorKind::invalid_argument, "gateway {} is not usable in subnet {}", pool.gateway, pool.subnet);
  for (const auto& [name, text] : pool.aux_addresses) {
    if (!addresses->take(IpAddress::parse(text)))
      fail(ErrorKind::invalid_argument, "auxiliary address {} is taken or reserved", text);
  }
}

}  // namespace

std::vector<std::string> dns_names_of(const EndpointRequest& request) {
  std::vector<std::string> names;
  add_unique(names, request.container_name);
  for (const std::string& alias : request.aliases) add_unique(names, alias);
  add_unique(names, request.container_id.substr(0, 12));
  add_unique(names, request.hostname);
  return names;
}

std::vector<IpPrefix> NetworkState::bridge_addresses() const {
  std::vector<IpPrefix> out;
  if (v4) out.emplace_back(gateway4, v4->subnet().length());
  if (v6) out.emplace_back(gateway6, v6->subnet().length());
  return out;
}

NetworkTable::NetworkTable(const NetworkOptions& options)
    : options_(options), chooser_(options.default_address_pools, options.site) {}

std::vector<IpPrefix> NetworkTable::subnets() const {
  std::vector<IpPrefix> out;
  for (const auto& [id, network] : networks_) {
    if (network.v4) out.push_back(network.v4->subnet());
    if (network.v6) out.push_back(network.v6->subnet());
  }
  return out;
}

void NetworkTable::choose_pools(NetworkConfig& config, const std::vector<IpPrefix>& routes) const {
  std::vector<IpPrefix> taken = subnets();
  taken.insert(taken.end(), routes.begin(), routes.end());
  const auto need = [&](Family family) {
    if (pool_of(config, family) == nullptr)
      config.ipam.pools.push_back({chooser_.choose(family, taken).str(), "", "", {}});
  };
  need(Family::v4);
  if (config.enable_ipv6) need(Family::v6);
  for (IpamPool& pool : config.ipam.pools) {
    if (pool.gateway.empty())
      pool.gateway = SubnetAddresses(IpPrefix::parse(pool.subnet), std::nullopt).default_gateway().str();
  }
}

void NetworkTable::check_bridge_name(const NetworkConfig& config) const {
  const std::string name = option_of(config, kOptionBridgeName, "");
  if (name.empty()) return;
  if (name.size() > kLongestInterface || name == "." || name == ".." ||
      name.find_first_of("/ \t\n:%") != std::string::npos)
    fail(ErrorKind::invalid_argument, "invalid bridge name \"{}\": at most {} bytes, no blanks, '/', ':' or '%'",
         printable(name, 40), kLongestInterface);
  for (const auto& [id, network] : networks_) {
    if (network.bridge == name && id != config.id)
      fail(ErrorKind::permission,
           "cannot create network {} ({}): conflicts with network {} ({}): networks have same bridge name", config.id,
           name, id, name);
  }
}

NetworkConfig NetworkTable::plan(const NetworkCreate& request, const std::vector<IpPrefix>& routes) const {
  NetworkConfig config;
  config.name = request.name;
  if (config.predefined())
    fail(ErrorKind::permission, "operation is not permitted on predefined {} network", request.name);
  check_network_name(request.name);
  check_driver(request.driver, options_.bypass);
  if (!request.scope.empty() && request.scope != "local")
    fail(ErrorKind::invalid_argument, "network scope \"{}\" is not supported: local", printable(request.scope, 40));
  if (!request.ipam.driver.empty() && request.ipam.driver != "default")
    fail(ErrorKind::not_found, "plugin \"{}\" not found", printable(request.ipam.driver, 80));
  for (const auto& [id, network] : networks_) {
    if (network.config.name == request.name)
      fail(ErrorKind::conflict, "network with name {} already exists", request.name);
  }
  config.id = random_hex_id();
  config.driver = request.driver;
  config.internal = request.internal;
  config.attachable = request.attachable;
  config.enable_ipv6 = request.enable_ipv6;
  config.ipam.options = request.ipam.options;
  config.ipam.pools = checked_pools(request.ipam.pools, request.enable_ipv6);
  config.options = request.options;
  config.labels = request.labels;
  config.created = to_rfc3339_nano(wall_now());
  check_bridge_name(config);
  truth_of(config, kOptionIcc, true);
  truth_of(config, kOptionMasquerade, true);
  mtu_of(config, options_.mtu);
  for (const IpamPool& pool : config.ipam.pools) {
    for (const IpPrefix& other : subnets()) {
      if (other.overlaps(IpPrefix::parse(pool.subnet)))
        fail(ErrorKind::permission, "Pool overlaps with other one on this address space");
    }
  }
  choose_pools(config, routes);
  return config;
}

NetworkConfig NetworkTable::plan_default_bridge(const NetworkConfig* stored,
                                                const std::vector<IpPrefix>& routes) const {
  NetworkConfig config = stored != nullptr ? *stored : NetworkConfig{};
  if (stored == nullptr) {
    config.id = random_hex_id();
    config.name = "bridge";
    config.created = to_rfc3339_nano(wall_now());
  }
  const auto text = [](bool value) { return std::string(value ? "true" : "false"); };
  config.options = {
      {std::string(kOptionDefaultBridge), "true"},
      {std::string(kOptionIcc), text(options_.icc)},
      {std::string(kOptionMasquerade), text(options_.ip_masq)},
      {std::string(kOptionHostBinding), options_.default_publish_ip.empty() ? "0.0.0.0" : options_.default_publish_ip},
      {std::string(kOptionBridgeName), options_.bridge},
      {std::string(kOptionMtu), std::to_string(options_.mtu > 0 ? options_.mtu : 1500)}};
  config.enable_ipv6 = options_.ipv6;
  std::vector<IpamPool> pools;
  const auto from_options = [&](Family family, const std::string& bip, const std::string& cidr,
                                const std::string& gateway) {
    IpamPool pool;
    if (!bip.empty()) {
      const IpPrefix address = IpPrefix::parse(bip);
      pool.subnet = address.canonical().str();
      pool.gateway = address.address().str();
    } else if (!cidr.empty()) {
      pool.subnet = IpPrefix::parse(cidr).canonical().str();
    } else if (const IpamPool* old = stored != nullptr ? pool_of(*stored, family) : nullptr) {
      pool = *old;
    }
    if (pool.subnet.empty()) return;
    pool.ip_range = cidr.empty() || IpPrefix::parse(cidr).canonical().str() == pool.subnet ? std::string() : cidr;
    if (!gateway.empty() && gateway != pool.gateway) pool.aux_addresses = {{std::string(kContainerGateway), gateway}};
    pools.push_back(std::move(pool));
  };
  from_options(Family::v4, options_.bip, options_.fixed_cidr, options_.default_gateway);
  if (options_.ipv6) from_options(Family::v6, options_.bip6, options_.fixed_cidr_v6, "");
  config.ipam.pools = checked_pools(pools, options_.ipv6);
  choose_pools(config, routes);
  return config;
}

NetworkState& NetworkTable::add(const NetworkConfig& config) {
  NetworkState network;
  network.config = config;
  if (config.is_bridge()) {
    network.bridge = option_of(config, kOptionBridgeName, "br-" + config.id.substr(0, 12));
    network.icc = truth_of(config, kOptionIcc, true);
    network.masquerade = truth_of(config, kOptionMasquerade, true) && options_.ip_masq;
    network.mtu = mtu_of(config, options_.mtu);
    const IpamPool* v4 = pool_of(config, Family::v4);
    const IpamPool* v6 = pool_of(config, Family::v6);
    if (v4 != nullptr) {
      fill_addresses(*v4, network.v4, network.gateway4);
      const auto other = v4->aux_addresses.find(std::string(kContainerGateway));
      network.container_gateway4 =
          other == v4->aux_addresses.end() ? network.gateway4 : IpAddress::parse(other->second);
    }
    if (v6 != nullptr && config.enable_ipv6) fill_addresses(*v6, network.v6, network.gateway6);
  }
  return networks_.insert_or_assign(config.id, std::move(network)).first->second;
}

void NetworkTable::erase(const std::string& network_id) { networks_.erase(network_id); }

NetworkState* NetworkTable::lookup(std::string_view reference) {
  if (const auto exact = networks_.find(std::string(reference)); exact != networks_.end()) return &exact->second;
  NetworkState* match = nullptr;
  std::size_t matches = 0;
  for (auto& [id, network] : networks_) {
    if (network.config.name == reference) return &network;
    if (reference.size() >= kShortestPrefix && id.starts_with(reference)) {
      match = &network;
      ++matches;
    }
  }
  if (matches > 1)
    fail(ErrorKind::invalid_argument, "network {} is ambiguous ({} matches found based on ID prefix)",
         printable(reference, 80), matches);
  return match;
}

NetworkState& NetworkTable::find_ready(std::string_view reference) {
  NetworkState* found = lookup(reference);
  if (found != nullptr && found->ready) return *found;
  fail(ErrorKind::not_found, "network {} not found", printable(reference, 80));
}

NetworkState& NetworkTable::find(std::string_view reference) {
  if (NetworkState* found = lookup(reference)) return *found;
  fail(ErrorKind::not_found, "network {} not found", printable(reference, 80));
}

}  // namespace bryo::network

// Daemon-wide network settings: dockerd's flags and daemon.json keys of the same names, and what a rootless engine has.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "kernel/netns.hpp"
#include "network/ports.hpp"

namespace bryo::network {

// --default-address-pool base=172.80.0.0/16,size=24
struct AddressPool {
  std::string base;
  int size = 0;
};

struct NetworkOptions {
  std::string bridge = "bryo0";  // "none": no default bridge
  std::string bip;               // address and prefix length of the default bridge
  std::string bip6;
  std::string fixed_cidr;  // part of the bridge's subnet that containers get addresses from
  std::string fixed_cidr_v6;
  std::string default_gateway;
  std::string default_gateway_v6;
  std::vector<AddressPool> default_address_pools;  // empty: Docker's
  int mtu = 0;                                     // 0: 1500
  bool ip_forward = true;
  bool ip_masq = true;
  bool icc = true;
  bool ipv6 = false;           // on the default bridge
  bool bypass = false;         // there is a user-mode network: the driver bypass, and a network of this name
  bool firewall = true;        // dockerd's --iptables: false leaves nf_tables alone; ports work through proxies only
  bool userland_proxy = true;  // false: the sockets still reserve the ports, the monitor need not serve them
  std::string default_publish_ip;     // --ip; empty: every address
  std::uint16_t ephemeral_first = 0;  // 0: the kernel's ip_local_port_range
  std::uint16_t ephemeral_last = 0;
  // Marks what is ours in the kernel: name of the nf_tables table, and prefix of the alias of bridges. Two engines on
  // one host at the same moment need two tags and two bridges.
  std::string tag = "bryo";
  std::string site;  // seed of the unique local IPv6 prefix; empty: the host's machine id
  std::string resolv_conf = "/etc/resolv.conf";
  // A name server that answers as the host's do, for an engine whose network is not the host's; empty: the host's own.
  std::string dns_relay;
  // Stands for the host itself there ("host-gateway"); empty: the default bridge's address.
  std::string host_address;
  // Where published ports are when that is not the engine's own network namespace: a rootless engine lives in one that
  // packets from outside do not reach. Its monitors then forward everything. Null: in our own.
  std::shared_ptr<kernel::NetnsThread> outside;
  std::shared_ptr<OuterPorts> outer_ports;  // null: nowhere else
  std::vector<std::shared_ptr<const InheritedPort>> inherited;
};

}  // namespace bryo::network

template <>
struct bryo::json::Fields<bryo::network::AddressPool> {
  using T = bryo::network::AddressPool;
  static constexpr auto list = std::tuple{field("base", &T::base), field("size", &T::size)};
};

// What the engine is started with: dockerd's flags and daemon.json keys after parsing and merging (the program bryod
// does that). Empty text and nullopt mean the default.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/types/host_config.hpp"
#include "kernel/netns.hpp"
#include "rootless/cgroup_home.hpp"

namespace bryo::network {
struct InheritedPort;
class OuterPorts;
}  // namespace bryo::network

namespace bryo::engine {

struct AddressPool {
  std::string base;  // "172.80.0.0/16"
  int size = 24;     // prefix length of each network cut from it
};

// What is different when bryod is not the machine's root but root in a user namespace (src/rootless).
struct Rootless {
  // Where cgroups of containers are made; null: nowhere.
  std::shared_ptr<rootless::CgroupHome> cgroups;
  // The thread that stayed in the host's network; null when the engine's network namespace is the only one there is.
  std::shared_ptr<kernel::NetnsThread> outside;
  std::string dns_relay;  // a name server there that answers as the host's do
  // Publishes the same ports where clients are, when somebody else has made our network (rootlesskit). Null: nobody.
  std::shared_ptr<network::OuterPorts> outer_ports;
  std::string host_address;  // stands for the host itself there (host.docker.internal)
};

struct Options {
  std::optional<Rootless> rootless;
  std::string data_root = "/var/lib/bryo";
  std::string exec_root = "/run/bryo";
  std::string program_directory;  // where bryo-monitor and bryo-init lie; empty: beside this executable

  std::string userns_remap;    // "", user, user:group, uid, uid:gid, default
  std::string userns_default;  // "" or auto[:size=N]: --userns for containers that do not say
  std::string storage_driver;  // "", overlay2, fuse-overlayfs, vfs
  bool isolated_images = false;

  std::vector<std::string> insecure_registries;
  std::vector<std::string> registry_mirrors;
  int max_concurrent_downloads = 3;
  int max_concurrent_uploads = 5;

  std::string bridge;  // "" = bryo0, "none" = no default bridge, else an existing bridge
  std::string bip;
  std::string fixed_cidr;
  std::string fixed_cidr_v6;
  std::string default_gateway;
  std::vector<AddressPool> default_address_pools;
  int mtu = 0;
  bool icc = true;
  bool ip_forward = true;
  bool ip_masq = true;
  bool nat_rules = true;  // --iptables
  bool ipv6 = false;
  std::string default_publish_ip;  // --ip
  std::vector<std::string> dns;
  std::vector<std::string> dns_options;
  std::vector<std::string> dns_search;
  std::string host_gateway_ip;
  bool bypass = false;      // containers of every network connect past the user-mode network
  bool bypass_udp = false;  // and those that do so, with UDP, too
  std::vector<std::shared_ptr<const network::InheritedPort>> inherited_ports;  // see network/ports.hpp

  LogConfig default_log;  // --log-driver, --log-opt
  std::vector<Ulimit> default_ulimits;
  std::vector<std::string> cdi_spec_dirs;  // lowest priority first
  std::int64_t default_shm_size = 64LL << 20;
  std::string cgroup_parent;
  std::string cgroup_driver;  // "", cgroupfs
  std::string default_cgroupns_mode;
  bool strict_limits = true;  // a limit that cannot be kept fails the container; false: it is left out with a warning
  std::string default_ipc_mode;
  bool init = false;
  std::string seccomp_profile;  // "", builtin, unconfined, or the path of a JSON file
  bool no_new_privileges = false;

  bool live_restore = true;  // false: clean shutdown stops the containers, as dockerd does
  int shutdown_timeout = 15;
  std::vector<std::string> labels;
  bool debug = false;
  bool experimental = false;
  std::string trace_directory;  // --trace-starts: one file of timed steps for each container start
};

}  // namespace bryo::engine

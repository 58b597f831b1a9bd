// One start of a container, from its record to a running process:
//
//   resolve      user, namespaces shared with other containers
//   reserve      addresses and ports                        (network)
//   write        hosts, hostname, resolv.conf
//   plan         record → OCI spec → LaunchPlan
//   spawn        monitor: cgroup, clone, mounts …           in parallel with
//   attach       interfaces into the network namespace
//   start        the gate opens; execve
//
// Whoever calls holds the container's `operation`. When a step throws, the steps before it are undone.
#pragma once

#include "engine/services.hpp"
#include "engine/spec.hpp"
#include "engine/start_trace.hpp"

namespace bryo::engine {

// A running container as its runtime directory remembers it: addresses, ports, since when.
struct NetworkMemory {
  std::vector<network::Endpoint> endpoints;
  std::vector<network::PublishedPort> ports;
  std::string started_at;
  std::optional<std::string> cgroup_path;  // "" = none; unknown to the memory of an older engine
  std::string cgroup_root;                 // see CgroupName
  bool bypass = false;
};
NetworkMemory recall_network(const std::string& runtime_directory);

class Launcher {
 public:
  Launcher(Services& services, monitor::MonitorHub& hub) : s_(services), hub_(hub) {}
  // Fills in monitor, process, endpoints and ports, and removes the pending attaches. Does not change the status.
  void launch(Container& container);
  // The spec of a running container again, for exec. `bypass`: of this run.
  SpecInputs spec_inputs(const Record& record, bool bypass);
  // Ids of `user` in the container's root, which is `root`.
  ResolvedUser user_of(const Record& record, std::string_view user, const kernel::RootDirectory& root) const;
  // "/bryo/<id>", or below --cgroup-parent; empty when this engine may make none.
  std::string cgroup_path(const Record& record) const;
  // Of a run that an earlier engine began, as far as its memory goes.
  CgroupName cgroup_name(const Record& record, const NetworkMemory& memory) const;
  // /run/bryo/containers/<id>/network.json: what a new bryod must know of a running container.
  void remember_network(const Container& container);

  // The container's own --dns and the like, or the engine's.
  network::DnsSettings dns_of(const Record& record) const;
  // Of a running container whose networks have changed: /etc/hosts and /etc/resolv.conf, where nobody has written to
  // them. Never throws.
  void rewrite_files(const Record& record, const std::vector<network::Endpoint>& before,
                     const std::vector<network::Endpoint>& after);
  // Another helper for a running container whose bypass has lost its own. Nothing when it is not running any more.
  void replace_bypass(Container& container);

 private:
  struct Network;
  struct Plan;

  void resolve_user_once(Container& container);
  ResolvedUser user_of_image(const Record& record) const;
  std::string shared_memory_of(const std::string& ipc_mode);
  std::map<std::string, std::string> joined_namespaces(const Record& record);
  Network reserve_network(const Record& record);
  std::string hosts_text(const Record& record, const std::vector<network::Endpoint>& endpoints);
  std::string resolv_text(const Record& record, const std::vector<network::Endpoint>& endpoints) const;
  void write_files(const Record& record, const Network& network);
  void write_file(const Record& record, std::string_view name, std::string_view text);
  std::map<std::string, std::string> files_of(const Record& record) const;
  struct HostNames {
    std::string hostname, domainname;
  };
  HostNames names_of(const Record& record) const;
  kernel::CgroupLimits limits_of_now(const Record& record);
  runtime::LaunchPlan make_plan_of(const oci::RuntimeSpec& spec, const runtime::RootfsSource& rootfs,
                                   const runtime::PlanOptions& options, std::string& resctrl) const;
  void discard_bundle(const Record& record) const;
  void discard_run(const Record& record) const;
  void remember(const std::string& id, const NetworkMemory& memory) const;
  monitor::StartRequest make_request(const Record& record, Network& network);
  void set_up_network(monitor::Monitor& monitor, const Record& record, Network& network);
  void give_pending(Container& container, monitor::Monitor& monitor);

  Services& s_;
  monitor::MonitorHub& hub_;
};

}  // namespace bryo::engine

template <>
struct bryo::json::Fields<bryo::engine::NetworkMemory> {
  using T = bryo::engine::NetworkMemory;
  static constexpr auto list = std::tuple{field("Endpoints", &T::endpoints),    field("Ports", &T::ports),
                                          field("StartedAt", &T::started_at),   field("CgroupPath", &T::cgroup_path),
                                          field("CgroupRoot", &T::cgroup_root), field("Bypass", &T::bypass)};
};

// The container's life as `create`, `run` and `delete` share it.
#pragma once

#include <optional>
#include <string>

#include "base/unique_fd.hpp"
#include "kernel/cgroups.hpp"
#include "kernel/netns_maker.hpp"
#include "kernel/systemd_manager.hpp"
#include "runtime/command/context.hpp"
#include "runtime/command/systemd_properties.hpp"
#include "runtime/container.hpp"
#include "runtime/hook_program.hpp"
#include "runtime/make_plan.hpp"

namespace bryo::runtime::command {

struct BundleSpec {
  std::string bundle;  // absolute
  std::string rootfs;  // absolute
  oci::RuntimeSpec spec;
  HookSet hooks;
  std::string text;  // what `spec` was read from; empty when it has been completed since
};
BundleSpec load_bundle(const std::string& bundle);
RootfsSource rootfs_of(const BundleSpec& bundle);
HostFacts host_facts_for(const oci::RuntimeSpec& spec);

// linux.resources as the kernel module takes them; Error{invalid_argument} names what is wrong.
kernel::CgroupLimits limits_of(const oci::Linux& os);
// The same without devices, as `update` writes them.
kernel::CgroupLimits limits_of(const oci::LinuxResources& resources);
// Whether the caller may make the cgroup: it, or the nearest directory above it that exists, is the caller's to write.
bool may_make_cgroup(const std::string& path);
// The first part of linux.resources that needs a cgroup ("memory"); empty when none does.
std::string first_limit(const oci::Linux& os);
// linux.cgroupsPath, or one made from the id.
std::string cgroup_path_of(const oci::Linux& os, const std::string& id);

struct LaunchRequest {
  std::string id;
  std::string bundle = ".";
  std::string console_socket;
  std::string pid_file;
  int preserve = 0;
  bool no_new_keyring = false;
  bool no_pivot = false;
  int listen_descriptors = 0;  // of preserve, how many are somebody's LISTEN_FDS
  bool detach = false;         // run: leave it to itself
  bool by_criu = false;        // nothing is launched
};

// Owned while a container is being made: cgroup and state directory, undone unless kept.
class NewContainer {
 public:
  NewContainer(const Context& context, const LaunchRequest& request);
  ~NewContainer();
  NewContainer(const NewContainer&) = delete;
  NewContainer& operator=(const NewContainer&) = delete;

  // Up to the gate; with a gate_listener for `create`.
  void launch(bool wait_for_start_command);
  // Instead of launch(): state and cgroup for a process that CRIU will make; where it shall write its number.
  std::string prepare_restore();
  void adopt(pid_t pid);
  // Opens the gate (run).
  void start();
  void keep() { kept_ = true; }

  Container& container() { return *container_; }
  ContainerState& state() { return state_; }
  const oci::RuntimeSpec& spec() const { return bundle_.spec; }
  UniqueFd take_terminal() { return std::move(terminal_); }

 private:
  void begin_network();
  void prepare_plan();
  void go_without_cgroup();
  std::string choose_cgroup();
  void check_cgroup_free();
  kernel::ContainerCgroup make_cgroup() const;
  // Makes the cgroup and lets the child in.
  void enter_cgroup(LaunchInputs& inputs);
  // The same by systemd, which wants the process first.
  void enter_scope();
  // state.json and config.json.
  void save_all();
  void note_process(pid_t pid, bool started);
  void run_create_hooks();
  void hand_over_terminal();

  const Context& context_;
  const LaunchRequest& request_;
  BundleSpec bundle_;
  ContainerState state_;
  LaunchPlan plan_;
  std::vector<UniqueFd> cgroup_procs_;
  UniqueFd cgroup_directory_;
  std::optional<kernel::SystemdManager> systemd_;
  SystemdPlace place_;
  std::vector<UnitProperty> scope_others_;  // of annotations
  std::optional<kernel::NetnsMaker> network_;
  std::optional<CreateHooks> hooks_;
  std::optional<Container> container_;
  UniqueFd terminal_;
  bool saved_ = false;
  bool kept_ = false;
};

// --preserve-fds, behind `before` others from 3 on; Error{invalid_argument} for one that is not open.
int preserved_descriptors(const Context& context, const Arguments& arguments, int before);
// Writes the number, whole or not at all.
void write_pid_file(const std::string& path, pid_t pid);
// Sends a terminal's master to a listening socket, as runc does (name of the terminal beside it).
void send_to_console_socket(const std::string& socket_path, int master);
// The manager that has its unit.
kernel::SystemdManager connect_to_systemd();
// The cgroup that it has (or had); Error{unsupported} when it was made without one.
kernel::ContainerCgroup cgroup_of(const ContainerState& state);
// Failures are warnings.
void run_poststart_hooks(const Context& context, const ContainerState& state, const oci::RuntimeSpec& spec);
// Kills what is left, removes cgroup and state. Without `spec`: as it was saved.
void destroy(const Context& context, const ContainerState& state, const oci::RuntimeSpec* spec = nullptr);

}  // namespace bryo::runtime::command

#include "rootless/command/child.hpp"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "kernel/child_process.hpp"
#include "kernel/files.hpp"
#include "kernel/mounts.hpp"
#include "kernel/netlink_links.hpp"
#include "kernel/netns.hpp"
#include "kernel/tree_mounts.hpp"
#include "kernel/user_namespace.hpp"
#include "rootless/command/command_run.hpp"
#include "rootless/command/copy_up.hpp"
#include "rootless/user_namespace.hpp"

namespace bryo::rootless::command {
namespace {

constexpr const char* kParent = "bryo-rootless";
constexpr const char* kCgroups = "/sys/fs/cgroup";
constexpr std::size_t kMaxResolvConf = 1U << 20;

std::uint64_t later_namespaces(const Options& o) {
  std::uint64_t out = 0;
  if (o.network != NetworkKind::host && !o.detach_netns) out |= CLONE_NEWNET;
  if (o.utsns) out |= CLONE_NEWUTS;
  if (o.ipcns) out |= CLONE_NEWIPC;
  if (o.cgroupns) out |= CLONE_NEWCGROUP;
  return out;
}

unsigned long propagation_flag(const std::string& word) {
  if (word == "rslave") return MS_SLAVE;
  return word == "rshared" ? MS_SHARED : MS_PRIVATE;
}

// The namespace of the command's network: our own, or one that is kept as a file while the command stays outside.
UniqueFd stand(const ChildStart& start) {
  try {
    kernel::become_namespace_zero();
    kernel::allow_inspection();
    kernel::enter_new_mount_namespace(propagation_flag(start.options.propagation));
  } catch (const Error& error) {
    throw explain_refusal(error);
  }
  kernel::unshare_namespaces(later_namespaces(start.options));
  if (start.options.network == NetworkKind::host || !start.options.detach_netns) return kernel::open_own_netns();
  UniqueFd made = kernel::make_netns();
  const std::string path = start.state.kept_netns();
  const UniqueFd file = kernel::open_at(AT_FDCWD, path, O_RDONLY | O_CREAT, 0600);
  kernel::attach_tree(kernel::clone_tree(fmt::format("/proc/self/fd/{}", made.get()), false).get(), path);
  return made;
}

void bring_loopback_up() {
  kernel::NetlinkSocket socket(NETLINK_ROUTE);
  if (const auto loopback = kernel::find_link(socket, "lo"))
    kernel::LinkChanges().up(loopback->index).execute(socket, "bring the loopback interface up");
}

// A view of the new network namespace, with the cgroups of before. Some hosts (containers, mostly) let nobody have one.
void mount_sysfs() {
  try {
    const UniqueFd cgroups = kernel::clone_tree(kCgroups, true);
    const UniqueFd sysfs = kernel::NewFilesystem("sysfs").mount(0);
    kernel::attach_tree(sysfs.get(), "/sys");
    kernel::attach_tree(cgroups.get(), kCgroups);
  } catch (const Error& error) {
    log::debug("/sys stays the host's: {}", error.message());
  }
}

void mount_own_cgroups() {
  const UniqueFd directory = kernel::open_trusted(kCgroups, O_RDONLY | O_DIRECTORY);
  if (!kernel::try_stat_at(directory.get(), "cgroup.controllers")) return;  // v1: its mounts cannot be made anew
  try {
    kernel::attach_tree(kernel::NewFilesystem("cgroup2").mount(0).get(), kCgroups);
  } catch (const Error& error) {
    log::warning("{} shows the host's cgroups: {}", kCgroups, error.message());
  }
}

void mount_all(const ChildStart& start, const std::string& dns) {
  const Options& options = start.options;
  const bool own_network = options.network != NetworkKind::host && !options.detach_netns;
  if (options.pidns) kernel::attach_tree(kernel::NewFilesystem("proc").mount(0).get(), "/proc");
  if (own_network) mount_sysfs();
  if (options.cgroupns) mount_own_cgroups();
  const std::string host_resolv =
      dns.empty() ? "" : kernel::read_file(kernel::open_trusted("/etc/resolv.conf", O_RDONLY).get(), kMaxResolvConf);
  for (const std::string& directory : options.copy_up) copy_up(directory, options.copy_up_mode);
  if (dns.empty() || !own_network) return;
  const std::string text = resolv_conf_text(host_resolv, dns);
  start.state.write_resolv_conf(text);
  const bool etc_is_ours = std::ranges::find(options.copy_up, "/etc") != options.copy_up.end();
  replace_resolv_conf(text, start.state.resolv_conf(), etc_is_ours);
}

void set_up(const ChildStart& start) {
  start.parent.expect("mapped", kParent);
  const UniqueFd netns = stand(start);
  if (start.options.network != NetworkKind::host) kernel::run_in_netns(netns.get(), bring_loopback_up);
  start.parent.send("standing", {}, netns.get());
  const Message connected = start.parent.expect("connected", kParent);
  mount_all(start, connected.text);
  start.parent.send("prepared");
  start.parent.expect("run", kParent);
}

}  // namespace

std::uint64_t birth_namespaces(const Options& options) { return CLONE_NEWUSER | (options.pidns ? CLONE_NEWPID : 0); }

void run_child(const ChildStart& start) {
  try {
    set_up(start);
  } catch (const std::exception& error) {
    start.parent.try_send("error", error.what());
    ::_exit(1);
  }
  ::_exit(run_command(start));
}

}  // namespace bryo::rootless::command

#include "api/daemon/rootless_home.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "base/error.hpp"
#include "base/log.hpp"
#include "engine/rootlesskit_ports.hpp"
#include "ids/accounts.hpp"
#include "kernel/files.hpp"
#include "kernel/paths.hpp"
#include "kernel/private_directory.hpp"
#include "kernel/sockets.hpp"
#include "kernel/user_namespace.hpp"
#include "rootless/user_namespace.hpp"

namespace bryo::daemon {
namespace {

constexpr const char* kOwnNetwork = "/proc/self/ns/net";
constexpr const char* kOwnMounts = "/proc/self/ns/mnt";
constexpr std::chrono::milliseconds kRestartPause{200};

// A process in the namespaces of the engine before us: any monitor. -1: there is none.
pid_t survivor(const std::string& exec_root) {
  const std::string containers = exec_root + "/containers";
  if (!kernel::try_stat_at(AT_FDCWD, containers)) return -1;
  const UniqueFd directory = kernel::open_at(AT_FDCWD, containers, O_RDONLY | O_DIRECTORY);
  for (const auto& entry : kernel::read_directory(directory.get())) {
    const UniqueFd container = kernel::open_at(directory.get(), entry.name, O_PATH | O_DIRECTORY);
    const pid_t pid = kernel::unix_socket_owner(container.get(), "control.sock");
    if (pid > 0) return pid;
  }
  return -1;
}

ids::User own_account() {
  const ids::NssAccounts accounts;
  const auto uid = ::geteuid();
  if (auto user = accounts.user(uid)) {
    user->gid = ::getegid();
    return *user;
  }
  return {std::to_string(uid), uid, ::getegid()};
}

}  // namespace

// The user's supplementary groups stay: a container may ask for them (--group-add keep-groups), and without them the
// engine could not read what the user can.
void become_namespace_root(const std::string& exec_root, const std::vector<std::string>& arguments) {
  const pid_t other = survivor(exec_root);
  if (other > 0) {
    log::info("Joining the namespaces of containers that run already (process {})", other);
    kernel::join_user_and_mount_namespace(other, true);
  } else {
    rootless::become_root(rootless::maps_of(own_account(), ids::SubordinateIds()), {.keep_groups = true});
  }
  kernel::execute_self_again(arguments);
}

RootlessHome::RootlessHome(const std::string& exec_root, rootless::UserNetworkOptions network)
    : exec_root_(exec_root), options_(std::move(network)) {
  kernel::make_private_directory(exec_root);
  // First, while there is one thread, and before the processes that shall be there too.
  facts_.cgroups = std::make_shared<rootless::CgroupHome>(exec_root);
  if (!kernel::owned_by_own_user_namespace(kOwnMounts)) kernel::enter_new_mount_namespace(MS_SLAVE);
  // rootlesskit, a container: somebody has made a network for us, and it is the only one that we can reach.
  if (kernel::owned_by_own_user_namespace(kOwnNetwork)) {
    facts_.outer_ports = engine::RootlesskitPorts::of_environment(exec_root + "/outer-ports.json");
    return;
  }
  connect();
  stopping_.reset(::eventfd(0, EFD_CLOEXEC));
  if (!stopping_) fail_errno("make an eventfd");
  watcher_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

RootlessHome::~RootlessHome() {
  watcher_.request_stop();
  if (!stopping_) return;
  ::eventfd_write(stopping_.get(), 1);
  watcher_.join();
  // Without containers nobody needs the way out, nor could the next bryod find this namespace again.
  if (network_ && survivor(exec_root_) < 0) network_->stop();
}

void RootlessHome::connect() {
  facts_.outside = std::make_shared<kernel::NetnsThread>();
  kernel::KeptNetns kept = kernel::enter_kept_netns(exec_root_ + "/netns");
  netns_ = std::move(kept.fd);
  options_.state_directory = exec_root_ + "/network";
  kernel::make_private_directory(options_.state_directory);
  try {
    network_ = rootless::UserNetwork::adopt(options_.state_directory);
    if (network_ && kept.fresh) {
      network_->stop();  // of a namespace that nobody is in any more
      network_.reset();
    }
    if (!network_) network_ = rootless::UserNetwork::start(options_, netns_.get(), *facts_.outside);
  } catch (const Error& error) {
    log::warning("Containers reach each other, but nothing outside: {}", error.message());
    return;
  }
  facts_.dns_relay = network_->facts().dns;
  facts_.host_address = network_->facts().host_address;
}

void RootlessHome::watch(const std::stop_token& stop) {
  while (true) {
    std::array<pollfd, 2> wanted{{{stopping_.get(), POLLIN, 0}, {-1, POLLIN, 0}}};
    {
      const std::lock_guard lock(mutex_);
      if (!network_) return;
      wanted[1].fd = network_->process();
    }
    if (::poll(wanted.data(), wanted.size(), -1) < 0) continue;
    const std::lock_guard lock(mutex_);
    if (!network_ || stop.stop_requested()) return;
    try {
      network_ = rootless::UserNetwork::start(options_, netns_.get(), *facts_.outside);
      log::warning("The user-mode network's process ended, and has been started again: open connections are lost");
    } catch (const Error& error) {
      log::error("The user-mode network's process ended, and starting it again failed: {}", error.message());
      std::this_thread::sleep_for(kRestartPause);
    }
  }
}

}  // namespace bryo::daemon

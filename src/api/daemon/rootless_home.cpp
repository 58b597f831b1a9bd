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
#include "kernel/start_program.hpp"
#include "kernel/user_namespace.hpp"
#include "rootless/network_guard.hpp"
#include "rootless/user_namespace.hpp"

namespace bryo::daemon {
namespace {

constexpr const char* kOwnNetwork = "/proc/self/ns/net";
constexpr const char* kOwnMounts = "/proc/self/ns/mnt";
constexpr std::chrono::milliseconds kRestartPause{200};

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
  const pid_t other = rootless::survivor(exec_root);
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
  if (network_ && rootless::survivor(exec_root_) < 0) network_->stop();
}

void RootlessHome::connect() {
  facts_.outside = std::make_shared<kernel::NetnsThread>();
  kernel::KeptNetns kept = kernel::enter_kept_netns(exec_root_ + "/netns");
  netns_ = std::move(kept.fd);
  options_.state_directory = exec_root_ + "/network";
  kernel::make_private_directory(options_.state_directory);
  rootless::announce_engine(options_.state_directory);
  try {
    network_ = rootless::UserNetwork::adopt(options_.state_directory);
    if (network_ && kept.fresh) {
      network_->stop();  // of a namespace that nobody is in any more
      network_.reset();
    }
    if (!network_) network_ = rootless::UserNetwork::start(options_, netns_.get(), *facts_.outside);
    start_guard();
  } catch (const Error& error) {
    log::warning("Containers reach each other, but nothing outside: {}", error.message());
    return;
  }
  facts_.dns_relay = network_->facts().dns;
  facts_.host_address = network_->facts().host_address;
}

void RootlessHome::start_guard() {
  if (network_->facts().driver == rootless::NetworkDriver::builtin) return;
  kernel::ProgramStart guard;
  guard.path = kernel::own_program_directory() + "/bryo-usernet";
  guard.arguments = rootless::guard_arguments(exec_root_, options_.state_directory);
  // Outside: it may not hold the namespace either.
  facts_.outside->run([&] { guard_ = kernel::start_program(guard).process; });
}

// It ends by itself where the one of an earlier engine is still there; when it was killed there is another.
void RootlessHome::look_after_guard() {
  constexpr int kBySignal = 128;
  const int status = kernel::reap_status(guard_.get());
  guard_.reset();
  if (status == 0) return;
  log::warning("The guard of the user-mode network ended with status {}", status);
  try {
    if (status > kBySignal) start_guard();
  } catch (const Error& error) {
    log::error("The guard of the user-mode network cannot be started: {}", error.message());
  }
}

void RootlessHome::watch(const std::stop_token& stop) {
  while (true) {
    std::array<pollfd, 3> wanted{{{stopping_.get(), POLLIN, 0}, {-1, POLLIN, 0}, {guard_.get(), POLLIN, 0}}};
    {
      const std::lock_guard lock(mutex_);
      if (!network_) return;
      wanted[1].fd = network_->process();
    }
    if (::poll(wanted.data(), wanted.size(), -1) < 0) continue;
    const std::lock_guard lock(mutex_);
    if (!network_ || stop.stop_requested()) return;
    if (wanted[2].revents != 0) look_after_guard();
    if (wanted[1].revents == 0) continue;
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

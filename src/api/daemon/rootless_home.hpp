// What a bryod that is not the machine's root needs before it can be an engine: to be root in a user namespace, a mount
// and a network namespace there, and a way out of that network. All of it outlives bryod as long as a container runs,
// and is found again by the next one.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/options.hpp"
#include "rootless/user_network.hpp"

namespace bryo::daemon {

// For an ordinary user; one thread. Joins the namespaces of monitors that an earlier bryod with this exec root left
// running, or makes new ones, and executes this program again there: returns only by throwing.
[[noreturn]] void become_namespace_root(const std::string& exec_root, const std::vector<std::string>& arguments);

// For root in a user namespace: from its start, before there are other threads, to its end.
class RootlessHome {
 public:
  // Afterwards the calling thread, and what it starts, is in the engine's network namespace.
  RootlessHome(const std::string& exec_root, rootless::UserNetworkOptions network);
  // The user-mode network stays as long as a container runs.
  ~RootlessHome();
  RootlessHome(const RootlessHome&) = delete;
  RootlessHome& operator=(const RootlessHome&) = delete;

  // What the engine wants to know.
  const engine::Rootless& facts() const { return facts_; }

 private:
  void connect();
  void start_guard();
  void look_after_guard();
  void watch(const std::stop_token& stop);

  const std::string exec_root_;
  rootless::UserNetworkOptions options_;
  engine::Rootless facts_;
  std::mutex mutex_;
  std::optional<rootless::UserNetwork> network_;  // guarded by mutex_
  UniqueFd guard_;  // pidfd of what ends the network's process when nobody is left (network_guard.hpp)
  UniqueFd netns_;
  UniqueFd stopping_;     // eventfd(2): wakes the watcher
  std::jthread watcher_;  // starts the network's process again when it ends
};

}  // namespace bryo::daemon

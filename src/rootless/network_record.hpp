// What a UserNetwork leaves behind so that the next engine finds its process: <state directory>/usernet.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/unique_fd.hpp"
#include "rootless/user_network.hpp"

namespace bryo::rootless {

struct NetworkRecord {
  UserNetworkFacts facts;
  int pid = 0;
  std::uint64_t start_time = 0;  // with the pid and the boot it names one process for ever
  std::string boot;

  static NetworkRecord of(const UserNetworkFacts& facts, int pid);
  void write(const std::string& state_directory) const;
  // nullopt when there is none, or none that can be read.
  static std::optional<NetworkRecord> read(const std::string& state_directory);
  static void remove(const std::string& state_directory);
  // pidfd of the process; empty when it has ended.
  UniqueFd open() const;
};

// SIGTERM, and SIGKILL where that does not help; returns when the process has ended, and is forgotten if a child.
void end_process(int process);

}  // namespace bryo::rootless

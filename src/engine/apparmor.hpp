// The AppArmor profile of containers that ask for no other: its text, and that the kernel has it.
#pragma once

#include <mutex>
#include <string>

#include "engine/types/requests.hpp"

namespace bryo::engine {

inline constexpr const char* kUnconfined = "unconfined";
inline constexpr const char* kDefaultAppArmorProfile = "bryo-default";

// As apparmor_parser(8) reads it. apparmor.d(5) of AppArmor 2.13 and newer.
std::string default_apparmor_profile();

// Thread-safe.
class AppArmor {
 public:
  // `possible`: AppArmor is on, and this is root of the host. What is loaded is remembered in `directory`, which lives
  // as long as the kernel does.
  AppArmor(bool possible, std::string directory);

  // Do containers get it?
  bool active() const { return active_; }
  // The profile of such a container: kUnconfined, or "" where nothing was asked for and there is no default. Docker's
  // name for its own default means ours, when there is none of that name.
  std::string profile_of(const HostConfig& host) const;
  // Loads it again when somebody has removed it (aa-remove-unknown does). Error{unsupported} when that fails: a
  // container is not started with less than it had.
  void ensure_loaded();

 private:
  void load() const;

  std::string directory_;
  bool active_ = false;
  std::mutex mutex_;
};

}  // namespace bryo::engine

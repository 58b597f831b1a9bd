// posix_spawn(3) with what every program that we start has in common: no signal is blocked or ignored in it. For one
// program each.
#pragma once

#include <spawn.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

class SpawnSettings {
 public:
  enum class Place {
    own_session,
    own_group,  // of our session: killed with what it has started
    our_group,  // gets what the terminal sends us
  };
  explicit SpawnSettings(Place place);
  ~SpawnSettings();
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  // In this order, in the new program. `theirs`: below 10. Descriptors that are close-on-exec and not given are not
  // there.
  SpawnSettings& give_null();  // as 0, 1 and 2
  SpawnSettings& give(int ours, int theirs);
  SpawnSettings& close_from(int first);
  SpawnSettings& go_to(const char* directory);

  // Both lists end with nullptr. `attempt`: for the error ("run hook /x"), not_found when there is no such program.
  pid_t spawn(const std::string& program, char* const* arguments, char* const* environment,
              const std::string& attempt) const;

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
  std::vector<UniqueFd> copies_;
};

}  // namespace bryo::kernel

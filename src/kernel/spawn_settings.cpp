#include "kernel/spawn_settings.hpp"

#include <fcntl.h>
#include <signal.h>

#include "base/error.hpp"
#include "kernel/raw.hpp"

namespace bryo::kernel {
namespace {

constexpr int kFirstCopy = 10;  // above the numbers that the actions write to

}  // namespace

SpawnSettings::SpawnSettings(Place place) {
  ::posix_spawn_file_actions_init(&actions_);
  ::posix_spawnattr_init(&attributes_);
  sigset_t set;
  ::sigemptyset(&set);
  ::posix_spawnattr_setsigmask(&attributes_, &set);
  ::sigfillset(&set);
  ::posix_spawnattr_setsigdefault(&attributes_, &set);
  int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (place == Place::own_session) flags |= POSIX_SPAWN_SETSID;
  if (place == Place::own_group) flags |= POSIX_SPAWN_SETPGROUP;
  ::posix_spawnattr_setflags(&attributes_, static_cast<short>(flags));
}

SpawnSettings::~SpawnSettings() {
  ::posix_spawn_file_actions_destroy(&actions_);
  ::posix_spawnattr_destroy(&attributes_);
}

SpawnSettings& SpawnSettings::give_null() {
  ::posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDWR, 0);
  for (const int number : {1, 2}) ::posix_spawn_file_actions_adddup2(&actions_, 0, number);
  return *this;
}

SpawnSettings& SpawnSettings::give(int ours, int theirs) {
  UniqueFd copy(raw::duplicate(ours, kFirstCopy));
  if (!copy) throw Error::from_errno(-copy.get(), "copy a descriptor for a program");
  ::posix_spawn_file_actions_adddup2(&actions_, copy.get(), theirs);
  copies_.push_back(std::move(copy));
  return *this;
}

SpawnSettings& SpawnSettings::close_from(int first) {
  ::posix_spawn_file_actions_addclosefrom_np(&actions_, first);
  return *this;
}

SpawnSettings& SpawnSettings::go_to(const char* directory) {
  ::posix_spawn_file_actions_addchdir_np(&actions_, directory);
  return *this;
}

pid_t SpawnSettings::spawn(const std::string& program, char* const* arguments, char* const* environment,
                           const std::string& attempt) const {
  pid_t pid = -1;
  const int number = ::posix_spawn(&pid, program.c_str(), &actions_, &attributes_, arguments, environment);
  if (number != 0) throw Error::from_errno(number, attempt);
  return pid;
}

}  // namespace bryo::kernel

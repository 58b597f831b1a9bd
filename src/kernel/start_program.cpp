#include "kernel/start_program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.hpp"
#include "kernel/raw.hpp"

namespace bryo::kernel {
namespace {

constexpr const char* kPath = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
constexpr int kFirstCopy = 10;

class Settings {
 public:
  explicit Settings(const std::vector<std::pair<int, int>>& descriptors) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
    for (const int number : {0, 1, 2}) ::posix_spawn_file_actions_addopen(&actions_, number, "/dev/null", O_RDWR, 0);
    for (const auto& [ours, theirs] : descriptors) {
      // Above the numbers that the actions write to.
      copies_.emplace_back(raw::duplicate(ours, kFirstCopy));
      if (!copies_.back()) throw Error::from_errno(-copies_.back().get(), "copy a descriptor for a program");
      ::posix_spawn_file_actions_adddup2(&actions_, copies_.back().get(), theirs);
    }
    ::posix_spawn_file_actions_addchdir_np(&actions_, "/");
    sigset_t set;
    ::sigemptyset(&set);
    ::posix_spawnattr_setsigmask(&attributes_, &set);
    ::sigfillset(&set);
    ::posix_spawnattr_setsigdefault(&attributes_, &set);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~Settings() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;
  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
  std::vector<UniqueFd> copies_;
};

}  // namespace

StartedProgram start_program(const ProgramStart& start) {
  const Settings settings(start.descriptors);
  std::vector<char*> arguments = {const_cast<char*>(start.path.c_str())};
  for (const std::string& word : start.arguments) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  char* environment[] = {const_cast<char*>(kPath), nullptr};
  StartedProgram started;
  const int number = ::posix_spawn(&started.pid, start.path.c_str(), settings.actions(), settings.attributes(),
                                   arguments.data(), environment);
  if (number != 0) throw Error::from_errno(number, "start " + start.path);
  started.process.reset(raw::pidfd_open(started.pid));
  if (!started.process) throw Error::from_errno(-started.process.get(), "pidfd_open of " + start.path);
  return started;
}

std::string find_program(const std::string& name) {
  for (const char* directory : {"/usr/local/bin/", "/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/"}) {
    const std::string path = directory + name;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return {};
}

std::string own_program_directory() {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0) fail_errno("readlink /proc/self/exe");
  const std::string text(path, static_cast<std::size_t>(size));
  return text.substr(0, text.rfind('/'));
}

void reap(int pidfd) noexcept {
  siginfo_t info = {};
  ::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG);
}

int reap_status(int pidfd) {
  siginfo_t info = {};
  if (::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG) != 0) fail_errno("wait for a program");
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

bool wait_for_end(int pidfd, int milliseconds) {
  pollfd wanted = {pidfd, POLLIN, 0};
  const int ready = ::poll(&wanted, 1, milliseconds);
  if (ready < 0 && errno != EINTR) fail_errno("poll a process");
  return ready == 1;
}

}  // namespace bryo::kernel

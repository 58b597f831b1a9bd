#include "kernel/start_program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.hpp"
#include "kernel/raw.hpp"
#include "kernel/spawn_settings.hpp"

namespace bryo::kernel {
namespace {

constexpr const char* kPath = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

}  // namespace

StartedProgram start_program(const ProgramStart& start) {
  SpawnSettings settings(SpawnSettings::Place::own_session);
  settings.give_null();
  for (const auto& [ours, theirs] : start.descriptors) settings.give(ours, theirs);
  settings.go_to("/");
  std::vector<char*> arguments = {const_cast<char*>(start.path.c_str())};
  for (const std::string& word : start.arguments) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  char* environment[] = {const_cast<char*>(kPath), nullptr};
  StartedProgram started;
  started.pid = settings.spawn(start.path, arguments.data(), environment, "start " + start.path);
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

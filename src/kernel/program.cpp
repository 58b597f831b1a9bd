#include "kernel/program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/unique_fd.hpp"

namespace bryo::kernel {
namespace {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
  Pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) fail_errno("make a pipe");
    read.reset(fds[0]);
    write.reset(fds[1]);
  }
};

class SpawnActions {
 public:
  SpawnActions() { posix_spawn_file_actions_init(&actions_); }
  ~SpawnActions() { posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

pid_t spawn(const std::vector<std::string>& command, int out, int err) {
  SpawnActions actions;
  posix_spawn_file_actions_addopen(actions.get(), 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(actions.get(), out, 1);
  posix_spawn_file_actions_adddup2(actions.get(), err, 2);
  posix_spawn_file_actions_addchdir_np(actions.get(), "/");
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::string path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale = "LC_ALL=C";
  std::array<char*, 3> environment = {path.data(), locale.data(), nullptr};
  for (const char* directory : {"/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/"}) {
    const std::string program = directory + command.front();
    pid_t pid = -1;
    const int error = posix_spawn(&pid, program.c_str(), actions.get(), nullptr, arguments.data(), environment.data());
    if (error == 0) return pid;
    if (error != ENOENT) throw Error::from_errno(error, "run " + program);
  }
  fail(ErrorKind::unsupported, "run {}: this program is not installed on the host", command.front());
}

// Both pipes at once, so that neither can fill and hold the program.
void drain(int out, int err, std::string& output, std::string& errors, std::size_t limit) {
  std::array<pollfd, 2> wanted = {{{out, POLLIN, 0}, {err, POLLIN, 0}}};
  char buffer[16384];
  while (wanted[0].fd >= 0 || wanted[1].fd >= 0) {
    if (::poll(wanted.data(), wanted.size(), -1) < 0) {
      if (errno == EINTR) continue;
      fail_errno("poll");
    }
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (wanted[i].fd < 0 || wanted[i].revents == 0) continue;
      const ssize_t got = ::read(wanted[i].fd, buffer, sizeof buffer);
      if (got <= 0) {
        wanted[i].fd = -1;
        continue;
      }
      std::string& into = i == 0 ? output : errors;
      if (into.size() + static_cast<std::size_t>(got) <= limit) into.append(buffer, static_cast<std::size_t>(got));
    }
  }
}

}  // namespace

std::string run_program(const std::vector<std::string>& command, std::size_t max_output) {
  Pipe out, err;
  const pid_t pid = spawn(command, out.write.get(), err.write.get());
  out.write.reset();
  err.write.reset();
  std::string output, errors;
  drain(out.read.get(), err.read.get(), output, errors, max_output);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    fail(ErrorKind::invalid_argument, "{}: {}", command.front(), trim(errors.empty() ? output : errors));
  return output;
}

}  // namespace bryo::kernel

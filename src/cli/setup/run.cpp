#include "cli/setup/run.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "cli/files/disk.hpp"

extern char** environ;

namespace bryo::cli {
namespace {

constexpr int kNotStarted = 127;
constexpr int kBySignal = 128;

class Streams {
 public:
  Streams() { ::posix_spawn_file_actions_init(&actions_); }
  ~Streams() { ::posix_spawn_file_actions_destroy(&actions_); }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
  void no_input() { ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0); }
  void output_to(int fd) {
    ::posix_spawn_file_actions_adddup2(&actions_, fd, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, fd, STDERR_FILENO);
  }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

// The pid, or -1.
pid_t spawn(const std::vector<std::string>& words, const Streams& streams) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t pid = -1;
  return ::posix_spawnp(&pid, words.front().c_str(), streams.get(), nullptr, arguments.data(), environ) == 0 ? pid : -1;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : kBySignal + WTERMSIG(status);
}

}  // namespace

Ran run_quietly(const std::vector<std::string>& words) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail_errno("make a pipe");
  const UniqueFd read(ends[0]);
  UniqueFd write(ends[1]);
  Streams streams;
  streams.no_input();
  streams.output_to(write.get());
  const pid_t pid = spawn(words, streams);
  write.reset();
  if (pid < 0) return {kNotStarted, words.front() + " could not be started"};
  Ran ran;
  std::array<char, 4096> block;
  while (true) {
    const ssize_t got = ::read(read.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    ran.output.append(block.data(), static_cast<std::size_t>(got));
  }
  ran.status = wait_for(pid);
  return ran;
}

int run_openly(const std::vector<std::string>& words) {
  const pid_t pid = spawn(words, Streams());
  return pid < 0 ? kNotStarted : wait_for(pid);
}

std::string own_program_directory() {
  std::array<char, 4096> path{};
  const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0 || static_cast<std::size_t>(size) == path.size()) fail_errno("find out where this program is");
  return parent_of(std::string(path.data(), static_cast<std::size_t>(size)));
}

std::string host_program(const std::string& directory) {
  const std::string path = directory + "/bryo-host";
  if (!is_there(path))
    fail(ErrorKind::not_found,
         "{} is not there: it comes with bryo. Unpack Bryo's archive again, and run bin/bryo of it", path);
  return path;
}

}  // namespace bryo::cli

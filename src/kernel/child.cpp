#include "kernel/child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/unique_fd.hpp"
#include "kernel/files.hpp"

namespace bryo::kernel {
namespace {

constexpr std::size_t kMaxReport = 4096;  // PIPE_BUF: written at once, never blocks
constexpr const char* kWentWell = "ok";

// "0 message": errno and text; "ok".
[[noreturn]] void work_and_report(const std::function<void()>& work, int report, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  std::string text = kWentWell;
  try {
    work();
  } catch (const Error& error) {
    text = fmt::format("{} {}", error.number(), error.message());
  } catch (const std::exception& error) {
    text = fmt::format("0 {}", error.what());
  }
  text.resize(std::min(text.size(), kMaxReport));
  const ssize_t written = ::write(report, text.data(), text.size());
  ::_exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
}

// What the child wrote before its end; nullopt when it took longer.
std::optional<std::string> read_report(int fd, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  std::string out;
  char buffer[kMaxReport];
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return std::nullopt;
    pollfd wanted{fd, POLLIN, 0};
    if (::poll(&wanted, 1, static_cast<int>(left.count())) <= 0) continue;
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return out;
    out.append(buffer, static_cast<std::size_t>(got));
  }
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

std::optional<ChildFailure> try_in_child(const std::function<void()>& work, std::chrono::milliseconds limit) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail_errno("make a pipe");
  const UniqueFd from_child(ends[0]);
  UniqueFd to_parent(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) fail_errno("make a child process (fork)");
  if (child == 0) work_and_report(work, to_parent.get(), parent);
  to_parent.reset();
  const auto report = read_report(from_child.get(), limit);
  if (!report) ::kill(child, SIGKILL);
  const int status = wait_for(child);
  if (!report) return ChildFailure{0, fmt::format("no answer within {} ms", limit.count())};
  if (WIFSIGNALED(status))
    return ChildFailure{0, fmt::format("the child process was ended by signal {}", WTERMSIG(status))};
  if (*report == kWentWell) return std::nullopt;
  const auto parts = split_once(*report, ' ');
  if (!parts) return ChildFailure{0, fmt::format("the child process ended with status {}", WEXITSTATUS(status))};
  return ChildFailure{parse_integer<int>(parts->first).value_or(0), std::string(parts->second)};
}

}  // namespace bryo::kernel

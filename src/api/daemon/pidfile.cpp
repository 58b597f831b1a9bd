#include "api/daemon/pidfile.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/unique_fd.hpp"

namespace bryo::daemon {
namespace {

std::string read_small(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char buffer[64];
  const ssize_t got = file ? ::read(file.get(), buffer, sizeof buffer) : 0;
  return {buffer, static_cast<std::size_t>(got > 0 ? got : 0)};
}

std::optional<pid_t> pid_in(const std::string& path) { return parse_integer<pid_t>(trim(read_small(path))); }

// A process id alone proves nothing after a reboot or in a container, where numbers repeat; its program does.
bool is_another_of_us(pid_t pid) {
  return pid != ::getpid() && pid > 0 && read_small(fmt::format("/proc/{}/comm", pid)) == read_small("/proc/self/comm");
}

}  // namespace

Pidfile::Pidfile(std::string path) : path_(std::move(path)) {
  if (const auto pid = pid_in(path_); pid && is_another_of_us(*pid))
    fail(ErrorKind::conflict,
         "process with PID {} is still running: stop it, or give this one another --pidfile than {}", *pid, path_);
  const std::string parent = path_.substr(0, path_.rfind('/'));
  if (!parent.empty() && parent.size() < path_.size()) ::mkdir(parent.c_str(), 0711);
  const std::string draft = path_ + ".new";
  {
    ::unlink(draft.c_str());
    const UniqueFd file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    const std::string text = fmt::format("{}\n", ::getpid());
    if (!file || ::write(file.get(), text.data(), text.size()) < 0) fail_errno("could not write pidfile {}", draft);
  }
  if (::rename(draft.c_str(), path_.c_str()) != 0) fail_errno("could not write pidfile {}", path_);
}

Pidfile::~Pidfile() {
  if (pid_in(path_) == ::getpid()) ::unlink(path_.c_str());
}

}  // namespace bryo::daemon

#include "kernel/process.hpp"

#include <fcntl.h>

#include <array>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/raw.hpp"

namespace bryo::kernel {

std::optional<ProcessStat> process_stat(pid_t pid) {
  const UniqueFd fd(::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 1024> text{};
  const ssize_t size = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  if (size <= 0) return std::nullopt;
  const std::string_view line(text.data(), static_cast<std::size_t>(size));
  // The name is in parentheses and may hold anything, also ")": the last one counts.
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  const auto fields = split(trim(line.substr(name_end + 1)), ' ');
  constexpr std::size_t kFlags = 9 - 3;
  constexpr std::size_t kStartTime = 22 - 3;
  // PF_FORKNOEXEC of the kernel's linux/sched.h.
  constexpr std::uint64_t kForkedOnly = 0x40;
  if (fields.size() <= kStartTime || fields[0].empty()) return std::nullopt;
  return ProcessStat{fields[0][0], parse_integer<std::uint64_t>(fields[kStartTime]).value_or(0),
                     (parse_integer<std::uint64_t>(fields[kFlags]).value_or(0) & kForkedOnly) == 0};
}

pid_t innermost_pid(pid_t pid) {
  const UniqueFd fd(::open(fmt::format("/proc/{}/status", pid).c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> text{};
  const ssize_t size = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  if (size <= 0) return pid;
  for (const auto line : split(std::string_view(text.data(), static_cast<std::size_t>(size)), '\n'))
    if (line.starts_with("NSpid:")) return parse_integer<pid_t>(line.substr(line.rfind('\t') + 1)).value_or(pid);
  return pid;
}

UniqueFd open_process(pid_t pid, std::uint64_t start_time) {
  UniqueFd fd(raw::pidfd_open(pid));
  if (fd.get() < 0) {
    const int number = -fd.release();
    if (number == ESRCH || number == EINVAL) return {};
    throw Error::from_errno(number, fmt::format("pidfd_open {}", pid));
  }
  // Looked at after the pidfd is open: from here on the number cannot become another's unseen.
  const auto stat = process_stat(pid);
  if (!stat || stat->start_time != start_time) return {};
  return fd;
}

std::optional<pid_t> number_of(int pidfd) {
  const UniqueFd fd(::open(fmt::format("/proc/self/fdinfo/{}", pidfd).c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 512> text{};
  const ssize_t size = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  if (size <= 0) return std::nullopt;
  for (const auto line : split(std::string_view(text.data(), static_cast<std::size_t>(size)), '\n'))
    if (line.starts_with("Pid:"))
      if (const auto pid = parse_integer<pid_t>(trim(line.substr(4))); pid && *pid > 0) return pid;
  return std::nullopt;
}

bool send_signal(int pidfd, int signal) {
  const int result = raw::pidfd_send_signal(pidfd, signal);
  if (result == -ESRCH) return false;
  if (result < 0) throw Error::from_errno(-result, fmt::format("send signal {}", signal));
  return true;
}

}  // namespace bryo::kernel

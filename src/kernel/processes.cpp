#include "kernel/processes.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/unique_fd.hpp"
#include "kernel/process.hpp"

namespace bryo::kernel {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

// Places of /proc/PID/stat after the name, counted from field 3.
constexpr std::size_t kParent = 4 - 3;
constexpr std::size_t kUserTime = 14 - 3;
constexpr std::size_t kSystemTime = 15 - 3;
constexpr std::size_t kChildUserTime = 16 - 3;
constexpr std::size_t kChildSystemTime = 17 - 3;
constexpr std::size_t kThreads = 20 - 3;

// Empty when it is gone, or not ours to read.
std::string read_text(pid_t pid, const char* name) {
  const UniqueFd fd(::open(fmt::format("/proc/{}/{}", pid, name).c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(4096, '\0');
  const ssize_t size = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  return text;
}

// The numbers of /proc/PID/stat that follow the name; empty when it is gone.
std::vector<std::uint64_t> stat_numbers(pid_t pid) {
  const std::string text = read_text(pid, "stat");
  const auto name_end = text.rfind(')');
  std::vector<std::uint64_t> out;
  if (name_end == std::string::npos) return out;
  for (const auto field : split(trim(std::string_view(text).substr(name_end + 1)), ' '))
    out.push_back(parse_integer<std::uint64_t>(field).value_or(0));
  return out;
}

std::vector<pid_t> all_processes() {
  std::vector<pid_t> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc"), &::closedir);
  if (!directory) fail_errno("read the directory /proc");
  while (const dirent* entry = ::readdir(directory.get()))
    if (const auto pid = parse_integer<pid_t>(entry->d_name)) out.push_back(*pid);
  std::sort(out.begin(), out.end());
  return out;
}

// Of a namespace file; 0 when it cannot be looked at.
ino_t inode_of(int fd) {
  struct stat info {};
  return fd >= 0 && ::fstat(fd, &info) == 0 ? info.st_ino : 0;
}

UniqueFd open_pid_namespace(pid_t pid) {
  return UniqueFd(::open(fmt::format("/proc/{}/ns/pid", pid).c_str(), O_RDONLY | O_CLOEXEC));
}

// Knows which pid namespaces lie inside of one, itself included.
class Inside {
 public:
  explicit Inside(ino_t top) { known_[top] = true; }

  bool holds(pid_t pid) {
    UniqueFd current = open_pid_namespace(pid);
    std::vector<ino_t> path;
    bool inside = false;
    while (const ino_t inode = inode_of(current.get())) {
      if (const auto found = known_.find(inode); found != known_.end()) {
        inside = found->second;
        break;
      }
      path.push_back(inode);
      current.reset(::ioctl(current.get(), NS_GET_PARENT));  // EPERM at our own
    }
    for (const ino_t inode : path) known_[inode] = inside;
    return inside;
  }

 private:
  std::map<ino_t, bool> known_;
};

// "Pss:     12 kB"; nullopt when there is no such line.
std::optional<std::uint64_t> find_kilobytes(std::string_view text, std::string_view key) {
  for (const auto line : split(text, '\n')) {
    if (!line.starts_with(key)) continue;
    const auto words = split(trim(line.substr(key.size())), ' ');
    return parse_integer<std::uint64_t>(words[0]);
  }
  return std::nullopt;
}

std::uint64_t memory_of(pid_t pid) {
  if (const auto share = find_kilobytes(read_text(pid, "smaps_rollup"), "Pss:")) return *share * 1024;
  const std::string text = read_text(pid, "statm");
  const auto words = split(trim(text), ' ');
  if (words.size() < 3) return 0;
  const auto resident = parse_integer<std::uint64_t>(words[1]).value_or(0);
  const auto shared = parse_integer<std::uint64_t>(words[2]).value_or(0);
  return (resident - std::min(resident, shared)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

std::vector<pid_t> descendants_of(pid_t ancestor) {
  std::multimap<pid_t, pid_t> children;
  for (const pid_t pid : all_processes()) {
    const auto numbers = stat_numbers(pid);
    if (numbers.size() > kParent) children.emplace(static_cast<pid_t>(numbers[kParent]), pid);
  }
  std::vector<pid_t> out{ancestor};
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto [begin, end] = children.equal_range(out[i]);
    for (auto child = begin; child != end; ++child) out.push_back(child->second);
  }
  out.erase(out.begin());
  std::sort(out.begin(), out.end());
  return out;
}

void kill_descendants() {
  constexpr int kPasses = 100;
  std::set<pid_t> done;
  siginfo_t info{};
  // ECHILD: the usual case, and cheaper than a look at all of /proc.
  if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0) return;
  for (int pass = 0; pass < kPasses; ++pass) {
    bool news = false;
    for (const pid_t pid : descendants_of(::getpid())) {
      ::kill(pid, SIGKILL);
      news = done.insert(pid).second || news;
    }
    if (!news) return;
  }
}

std::vector<pid_t> processes_around(pid_t first) {
  const ino_t top = inode_of(open_pid_namespace(first).get());
  if (top == 0) return {};
  std::vector<pid_t> out;
  if (innermost_pid(first) != 1) {
    out = descendants_of(first);
    out.insert(std::lower_bound(out.begin(), out.end(), first), first);
    return out;
  }
  Inside inside(top);
  for (const pid_t pid : all_processes())
    if (inside.holds(pid)) out.push_back(pid);
  return out;
}

ProcessUsage usage_of(const std::vector<pid_t>& processes) {
  const auto tick = kSecond / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  ProcessUsage out;
  for (const pid_t pid : processes) {
    const auto numbers = stat_numbers(pid);
    if (numbers.size() <= kThreads) continue;
    out.user_time += (numbers[kUserTime] + numbers[kChildUserTime]) * tick;
    out.system_time += (numbers[kSystemTime] + numbers[kChildSystemTime]) * tick;
    out.threads += numbers[kThreads];
    out.memory += memory_of(pid);
    const std::string io = read_text(pid, "io");
    for (const auto line : split(io, '\n')) {
      if (const auto pair = split_once(line, ':')) {
        const auto value = parse_integer<std::uint64_t>(trim(pair->second)).value_or(0);
        if (pair->first == "read_bytes") out.read_bytes += value;
        if (pair->first == "write_bytes") out.written_bytes += value;
      }
    }
  }
  return out;
}

}  // namespace bryo::kernel

#include "kernel/host.hpp"

#include <fcntl.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace bryo::kernel {
namespace {

struct utsname names() {
  struct utsname out {};
  if (::uname(&out) != 0) fail_errno("uname");
  return out;
}

}  // namespace

std::string host_name() { return names().nodename; }
std::string kernel_release() { return names().release; }
std::string architecture() { return names().machine; }

std::string os_release(const std::string& key) {
  std::ifstream file("/etc/os-release");
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with(key + "=")) continue;
    std::string value = line.substr(key.size() + 1);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    return value;
  }
  return {};
}

std::uint64_t total_memory() {
  struct sysinfo info {};
  if (::sysinfo(&info) != 0) fail_errno("sysinfo");
  return static_cast<std::uint64_t>(info.totalram) * info.mem_unit;
}

unsigned processors() {
  const long count = ::sysconf(_SC_NPROCESSORS_ONLN);
  return count < 1 ? 1U : static_cast<unsigned>(count);
}

std::uint64_t system_cpu_time() {
  std::ifstream file("/proc/stat");
  std::string line, word;
  std::getline(file, line);
  std::istringstream fields(line);
  fields >> word;
  std::uint64_t total = 0, ticks = 0;
  for (int i = 0; i < 7 && fields >> ticks; ++i) total += ticks;  // user … softirq; guests are counted in user already
  return total * (1'000'000'000ULL / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)));
}

std::string read_sysctl(const std::string& name) {
  std::ifstream file("/proc/sys/" + name);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string confining_apparmor_profile() {
  std::ifstream file("/proc/self/attr/apparmor/current");
  std::string label;
  std::getline(file, label);
  return label.ends_with(" (enforce)") ? label.substr(0, label.rfind(' ')) : "";
}

bool apparmor_knows(const std::string& profile) {
  std::ifstream file("/sys/kernel/security/apparmor/profiles");  // "name (mode)", one a line
  std::string line;
  while (std::getline(file, line))
    if (line.starts_with(profile + " (")) return true;
  return false;
}

bool selinux_knows(const std::string& context) {
  const UniqueFd file(::open("/sys/fs/selinux/context", O_RDWR | O_CLOEXEC));
  if (!file) return true;
  return ::write(file.get(), context.data(), context.size()) >= 0 || errno == EACCES || errno == EPERM;
}

}  // namespace bryo::kernel

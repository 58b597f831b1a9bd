#include "kernel/namespaces.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <utility>

#include "base/error.hpp"
#include "kernel/raw.hpp"

namespace bryo::kernel {

int namespace_flag(std::string_view name) {
  constexpr std::pair<std::string_view, int> kFlags[] = {
      {"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS},  {"pid", CLONE_NEWPID},       {"net", CLONE_NEWNET},
      {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME}};
  for (const auto& [known, flag] : kFlags)
    if (known == name) return flag;
  return 0;
}

UniqueFd open_namespace(pid_t pid, const std::string& name) {
  const std::string path = fmt::format("/proc/{}/ns/{}", pid, name);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) fail_errno("open {}", path);
  return fd;
}

void check_namespace(int fd, int flag, const std::string& name) {
  struct statfs info = {};
  if (::fstatfs(fd, &info) != 0) fail_errno("statfs {}", name);
  const int kind = info.f_type == NSFS_MAGIC ? ::ioctl(fd, NS_GET_NSTYPE) : -1;
  if (kind != flag) fail(ErrorKind::invalid_argument, "{}: not a namespace of the kind asked for", name);
}

UniqueFd open_namespace_path(const std::string& path, int flag) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) fail_errno("open namespace {}", path);
  check_namespace(fd.get(), flag, path);
  return fd;
}

bool same_namespace(int a, int b) {
  struct stat first = {};
  struct stat second = {};
  if (::fstat(a, &first) != 0 || ::fstat(b, &second) != 0) fail_errno("stat of a namespace");
  return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

}  // namespace bryo::kernel

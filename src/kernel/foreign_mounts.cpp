#include "kernel/foreign_mounts.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include <cerrno>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/raw.hpp"
#include "kernel/signal_block.hpp"
#include "kernel/vm_clone.hpp"

namespace bryo::kernel {
namespace {

struct Job {
  int mount_namespace;
  const char* path;
  unsigned flags;
  int result;
};

// Shares memory and descriptors with its parent, which sleeps until it is done (CLONE_VFORK); has a root directory of
// its own, because nothing else may enter a mount namespace.
int clone_there(void* argument) {
  Job& job = *static_cast<Job*>(argument);
  job.result = raw::setns(job.mount_namespace, CLONE_NEWNS);
  if (job.result < 0) return 0;
  const int target = raw::open_below(AT_FDCWD, job.path, O_PATH, RESOLVE_NO_MAGICLINKS);
  if (target < 0) {
    job.result = target;
    return 0;
  }
  job.result = raw::open_tree(target, "", job.flags | AT_EMPTY_PATH | OPEN_TREE_CLONE);
  raw::close(target);
  return 0;
}

}  // namespace

UniqueFd clone_tree_of(pid_t process, const std::string& path, bool recursive) {
  const UniqueFd space = open_trusted(fmt::format("/proc/{}/ns/mnt", process), O_RDONLY);
  Job job{space.get(), path.c_str(), recursive ? static_cast<unsigned>(AT_RECURSIVE) : 0U, -ECHILD};
  alignas(64) char stack[16384];
  const SignalBlock block;
  const pid_t child = clone_sharing_memory(&clone_there, stack + sizeof stack, CLONE_FILES | CLONE_VFORK, &job);
  const int number = errno;
  while (child > 0 && ::waitpid(child, nullptr, __WALL) < 0 && errno == EINTR) {
  }
  if (child < 0) throw Error::from_errno(number, "make a process to enter a mount namespace");
  if (job.result < 0)
    throw Error::from_errno(-job.result, fmt::format("clone {} of process {}", printable(path), process));
  return UniqueFd(job.result);
}

}  // namespace bryo::kernel

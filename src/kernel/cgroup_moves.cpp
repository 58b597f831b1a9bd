#include "kernel/cgroup_moves.hpp"

#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bryo::kernel {
namespace {

bool configure(int context, unsigned command, const char* key, const char* value) {
  return ::syscall(SYS_fsconfig, context, command, key, value, 0) == 0;
}

}  // namespace

FastCgroupMoves::FastCgroupMoves(const CgroupLayout& layout) {
  if (layout.version() != CgroupVersion::v1 && layout.version() != CgroupVersion::hybrid) return;
  const UniqueFd context(static_cast<int>(::syscall(SYS_fsopen, "cgroup", FSOPEN_CLOEXEC)));
  if (!context || !configure(context.get(), FSCONFIG_SET_FLAG, "none", nullptr) ||
      !configure(context.get(), FSCONFIG_SET_STRING, "name", "bryo") ||
      !configure(context.get(), FSCONFIG_SET_FLAG, "favordynmods", nullptr) ||
      !configure(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr))
    return;
  mount_.reset(static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0)));
}

}  // namespace bryo::kernel

#include "kernel/own_program.hpp"

#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <string_view>

#include "base/strings.hpp"
#include "kernel/raw.hpp"

namespace bryo::kernel {
namespace {

constexpr const char* kOwnProgram = "/proc/self/exe";

}  // namespace

bool own_program_is_read_only() {
  struct statvfs info = {};
  return ::statvfs(kOwnProgram, &info) == 0 && (info.f_flag & ST_RDONLY) != 0;
}

void run_from_read_only_view(char** arguments) {
  if (own_program_is_read_only()) return;
  const UniqueFd view(raw::open_tree(AT_FDCWD, kOwnProgram, OPEN_TREE_CLONE));
  if (view.get() < 0) return;
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  attributes.propagation = MS_PRIVATE;
  if (raw::mount_setattr(view.get(), 0, attributes) < 0) return;
  // Comes back only when it fails: then we go on as we are.
  raw::call(SYS_execveat, view.get(), "", arguments, environ, AT_EMPTY_PATH);
}

UniqueFd take_own_view() {
  constexpr std::string_view kDirectory = "/dev/fd/";
  const auto* file = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
  if (file == nullptr || !std::string_view(file).starts_with(kDirectory)) return {};
  const auto number = parse_integer<int>(std::string_view(file).substr(kDirectory.size()));
  // Somebody else's, from which we were started (fexecve(3)), is a file that is open for reading.
  const int flags = number ? ::fcntl(*number, F_GETFL) : -1;
  if (flags < 0 || (flags & O_PATH) == 0 || ::fcntl(*number, F_SETFD, FD_CLOEXEC) != 0) return {};
  return UniqueFd(*number);
}

}  // namespace bryo::kernel

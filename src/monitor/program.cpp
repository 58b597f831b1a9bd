#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.hpp"
#include "kernel/files.hpp"
#include "monitor/hub.hpp"

namespace bryo::monitor {

namespace {

UniqueFd open_program(const std::string& path) try {
  return kernel::open_trusted(path, O_RDONLY);
} catch (const Error& error) {
  throw error.within("the monitor program, which is installed beside bryod");
}

UniqueFd copy_to_memory(int file, const std::string& path) {
  const struct stat state = kernel::stat_fd(file);
  UniqueFd memory{::memfd_create("bryo-monitor", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!memory) fail_errno("memfd_create for the monitor program");
  for (off_t done = 0; done < state.st_size;) {
    const ssize_t count = ::sendfile(memory.get(), file, &done, static_cast<std::size_t>(state.st_size - done));
    if (count <= 0) fail_errno("copy {} to memory", path);
  }
  return memory;
}

/// CVE-2019-5736: nothing in it can be changed any more, whoever opens it through /proc.
bool seal(int memory) {
  return ::fcntl(memory, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0;
}

/// The kernel refuses F_SEAL_WRITE with EBUSY when somebody holds a page of the file for longer than 150 ms
/// (mm/memfd.c, memfd_wait_for_pins). That may be a passer-by such as compaction on a loaded machine: a new copy has
/// pages that nobody holds.
constexpr int kCopies = 10;

}  // namespace

MonitorProgram::MonitorProgram(const std::string& path) {
  const UniqueFd file = open_program(path);
  for (int copies = 1;; ++copies) {
    memory_ = copy_to_memory(file.get(), path);
    if (seal(memory_.get())) return;
    if (errno != EBUSY || copies == kCopies) fail_errno("seal copy {} of the monitor program {}", copies, path);
  }
}

MonitorProgram MonitorProgram::beside_this_program() {
  char self[4096];
  const ssize_t size = ::readlink("/proc/self/exe", self, sizeof self);
  if (size <= 0 || size == static_cast<ssize_t>(sizeof self)) fail_errno("readlink /proc/self/exe");
  const std::string path(self, static_cast<std::size_t>(size));
  return MonitorProgram(path.substr(0, path.rfind('/') + 1) + "bryo-monitor");
}

}  // namespace bryo::monitor

#include "monitor/own_process.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/idle_memory.hpp"

namespace bryo::monitor {
namespace {

constexpr const char* kScore = "/proc/self/oom_score_adj";

}  // namespace

int original_oom_score_adj() try {
  const std::string text = kernel::read_file(kernel::open_trusted(kScore, O_RDONLY).get(), 64);
  return parse_integer<int>(trim(text)).value_or(0);
} catch (const Error&) {
  return 0;
}

void protect_this_process() {
  // Without CAP_SYS_RESOURCE the kernel says no: then we are as killable as before.
  const UniqueFd score = kernel::open_trusted(kScore, O_WRONLY);
  static_cast<void>(::write(score.get(), "-999", 4) < 0);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void give_back_memory() {
  ::malloc_trim(0);
  kernel::release_clean_pages();
  kernel::release_unused_stack();
}

}  // namespace bryo::monitor

#include "monitor/process_facts.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/unique_fd.hpp"

namespace bryo::monitor {

std::uint64_t process_start_time(pid_t pid) {
  const auto path = fmt::format("/proc/{}/stat", pid);
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return 0;
  char text[1024];
  const ssize_t size = ::read(file.get(), text, sizeof text);
  return size <= 0 ? 0 : parse_start_time({text, static_cast<std::size_t>(size)}).value_or(0);
}

std::optional<std::uint64_t> parse_start_time(std::string_view stat) {
  const auto name_end = stat.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 > stat.size()) return std::nullopt;
  const auto fields = split(stat.substr(name_end + 2), ' ');  // from field 3 on
  return fields.size() > 19 ? parse_integer<std::uint64_t>(fields[19]) : std::nullopt;
}

int original_oom_score_adj() {
  const UniqueFd score(::open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC));
  char text[16];
  const ssize_t size = score ? ::read(score.get(), text, sizeof text) : 0;
  return size <= 0 ? 0 : parse_integer<int>(trim({text, static_cast<std::size_t>(size)})).value_or(0);
}

void protect_this_process() {
  // Without CAP_SYS_RESOURCE the kernel says no: then we are as killable as before.
  const UniqueFd score(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (score) static_cast<void>(::write(score.get(), "-999", 4) < 0);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void give_back_heap() { ::malloc_trim(0); }

}  // namespace bryo::monitor

#include "kernel/idle_processors.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <string_view>

#include "base/strings.hpp"
#include "base/unique_fd.hpp"

namespace bryo::kernel {
namespace {

// How many tasks run or wait for a processor, the caller included: of "0.20 0.18 0.12 1/80 11206" (proc_loadavg(5)),
// what is in front of the slash.
int running_tasks() {
  const UniqueFd file(::open("/proc/loadavg", O_RDONLY | O_CLOEXEC));
  std::array<char, 64> text;
  const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
  std::string_view rest(text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  rest = rest.substr(0, rest.find('/'));
  return parse_integer<int>(rest.substr(rest.rfind(' ') + 1)).value_or(INT_MAX);
}

}  // namespace

std::optional<cpu_set_t> idle_processors() {
  cpu_set_t processors;
  const int here = ::sched_getcpu();
  if (here < 0 || ::sched_getaffinity(0, sizeof processors, &processors) != 0) return std::nullopt;
  const int count = CPU_COUNT(&processors);
  CPU_CLR(static_cast<unsigned>(here), &processors);
  if (CPU_COUNT(&processors) == 0 || running_tasks() >= count) return std::nullopt;
  return processors;
}

}  // namespace bryo::kernel

#include "kernel/cgroup_details.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <limits>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/cgroup_files.hpp"
#include "kernel/cgroup_tree.hpp"

namespace bryo::kernel {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

constexpr const char* kCpusetFlags[] = {
    "cpuset.cpu_exclusive",      "cpuset.mem_exclusive",      "cpuset.mem_hardwall",
    "cpuset.memory_migrate",     "cpuset.memory_pressure",    "cpuset.memory_spread_page",
    "cpuset.memory_spread_slab", "cpuset.sched_load_balance", "cpuset.sched_relax_domain_level"};

// Lines "cpu user system", nanoseconds, below a heading.
void per_cpu(const CgroupDirectory& account, CgroupDetails& out) {
  const std::string text = account.read("cpuacct.usage_all").value_or("");
  for (const auto line : split(text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() != 3) continue;
    const auto user = parse_integer<std::uint64_t>(words[1]);
    const auto kernel = parse_integer<std::uint64_t>(words[2]);
    if (!user || !kernel) continue;
    out.cpu_user_per_cpu.push_back(*user);
    out.cpu_kernel_per_cpu.push_back(*kernel);
  }
}

// v1: memory.memsw.limit_in_bytes and its three neighbours; hugetlb.2MB.limit_in_bytes likewise.
CgroupMemoryCounter counter_v1(const CgroupDirectory& directory, const std::string& prefix) {
  const auto number = [&](const char* name) { return directory.read_number((prefix + name).c_str()).value_or(0); };
  return {number(".limit_in_bytes"), number(".usage_in_bytes"), number(".max_usage_in_bytes"), number(".failcnt")};
}

CgroupCpuset cpuset_of(const CgroupDirectory& directory, bool unified) {
  CgroupCpuset out;
  out.cpus = parse_cpu_list(directory.read(unified ? "cpuset.cpus.effective" : "cpuset.cpus").value_or(""));
  out.mems = parse_cpu_list(directory.read(unified ? "cpuset.mems.effective" : "cpuset.mems").value_or(""));
  for (const char* flag : kCpusetFlags)
    if (const auto text = directory.read(flag)) out.flags[flag] = parse_integer<std::int64_t>(trim(*text)).value_or(0);
  return out;
}

// As v1 counts it, memory is part of the sum.
CgroupMemoryCounter swap_v2(const CgroupDirectory& directory, const CgroupStats& stats) {
  const std::uint64_t limit = directory.read_number("memory.swap.max").value_or(kUnlimited);
  CgroupMemoryCounter out;
  out.usage = stats.memory_usage + directory.read_number("memory.swap.current").value_or(0);
  out.limit = limit == kUnlimited || stats.memory_limit == kUnlimited ? kUnlimited : limit + stats.memory_limit;
  return out;
}

// The kernel lists its sizes as directories hugepages-2048kB.
std::vector<std::string> page_sizes() {
  std::vector<std::string> out;
  const auto sizes = CgroupDirectory::open("/sys/kernel/mm/hugepages");
  if (!sizes) return out;
  sizes->for_each_child([&](const char* name) {
    std::string_view text(name);
    if (!text.starts_with("hugepages-") || !text.ends_with("kB")) return;
    text.remove_prefix(std::string_view("hugepages-").size());
    text.remove_suffix(2);
    std::uint64_t size = parse_integer<std::uint64_t>(text).value_or(0);
    const char* unit = "KB";
    if (size >= 1048576)
      size /= 1048576, unit = "GB";
    else if (size >= 1024)
      size /= 1024, unit = "MB";
    out.push_back(std::to_string(size) + unit);
  });
  return out;
}

std::map<std::string, CgroupMemoryCounter> hugepages(const CgroupDirectory& directory, bool unified) {
  std::map<std::string, CgroupMemoryCounter> out;
  for (const std::string& size : page_sizes()) {
    const std::string prefix = "hugetlb." + size;
    if (!directory.has((prefix + (unified ? ".current" : ".usage_in_bytes")).c_str())) continue;
    if (!unified) {
      out[size] = counter_v1(directory, prefix);
      continue;
    }
    out[size].usage = directory.read_number((prefix + ".current").c_str()).value_or(0);
    out[size].failures = find_key(directory.read((prefix + ".events").c_str()).value_or(""), "max");
  }
  return out;
}

void take_v1(const CgroupDirectory& memory, CgroupDetails& out) {
  out.swap = counter_v1(memory, "memory.memsw");
  out.kernel = counter_v1(memory, "memory.kmem");
  out.kernel_tcp = counter_v1(memory, "memory.kmem.tcp");
}

}  // namespace

std::vector<std::uint16_t> parse_cpu_list(std::string_view text) {
  std::vector<std::uint16_t> out;
  for (const auto part : split(trim(text), ',')) {
    const auto ends = split_once(part, '-');
    const auto first = parse_integer<std::uint16_t>(ends ? ends->first : part);
    const auto last = ends ? parse_integer<std::uint16_t>(ends->second) : first;
    if (!first || !last) return {};
    for (unsigned number = *first; number <= *last; ++number) out.push_back(static_cast<std::uint16_t>(number));
  }
  return out;
}

CgroupDetails cgroup_details(const CgroupLayout& layout, const std::string& path) {
  const bool unified = layout.version() == CgroupVersion::v2;
  const auto open = [&](const char* controller) -> std::optional<CgroupDirectory> {
    const auto hierarchy = hierarchy_of(layout, controller);
    return hierarchy.empty() ? std::nullopt : CgroupDirectory::open(hierarchy + path);
  };
  CgroupDetails out;
  out.stats = ContainerCgroup::open(layout, path).stats();
  if (const auto account = open("cpuacct"); account && !unified) per_cpu(*account, out);
  if (const auto memory = open("memory")) {
    if (unified)
      out.swap = swap_v2(*memory, out.stats);
    else
      take_v1(*memory, out);
  }
  if (const auto cpuset = open("cpuset")) out.cpuset = cpuset_of(*cpuset, unified);
  if (const auto pages = open("hugetlb")) out.hugepages = hugepages(*pages, unified);
  return out;
}

OomWatch::OomWatch(const CgroupLayout& layout, const std::string& path)
    : cgroup_(ContainerCgroup::open(layout, path)), unified_(layout.version() == CgroupVersion::v2) {
  const std::string hierarchy = hierarchy_of(layout, "memory");
  if (hierarchy.empty()) fail(ErrorKind::unsupported, "watch for the OOM killer: this host has no memory cgroups");
  const auto directory = CgroupDirectory::require(hierarchy + path);
  kills_ = cgroup_.oom_kills();
  if (unified_) {
    events_ = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!events_) fail_errno("inotify_init");
    const std::string file = directory.path() + "/memory.events";
    if (::inotify_add_watch(events_.get(), file.c_str(), IN_MODIFY) < 0) fail_errno("watch {}", file);
    return;
  }
  events_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!events_) fail_errno("eventfd");
  control_ = UniqueFd(::openat(directory.descriptor(), "memory.oom_control", O_RDONLY | O_CLOEXEC));
  if (!control_) fail_errno("open {}/memory.oom_control", directory.path());
  directory.write("cgroup.event_control", fmt::format("{} {}", events_.get(), control_.get()));
}

bool OomWatch::take() {
  char block[4096];
  bool rung = false;
  while (::read(events_.get(), block, sizeof block) > 0) rung = true;
  if (!rung) return false;
  // v1 tells of every time that the limit could not be kept, also where killing is switched off, and of the end.
  if (!unified_) return cgroup_.exists();
  const std::uint64_t before = kills_;
  kills_ = cgroup_.oom_kills();
  return kills_ > before;
}

}  // namespace bryo::kernel

#include <sys/personality.h>

#include <algorithm>

#include "base/strings.hpp"
#include "kernel/capabilities.hpp"
#include "kernel/rlimits.hpp"
#include "runtime/plan/plan_builder.hpp"
#include "runtime/seccomp_profile.hpp"

namespace bryo::runtime {
namespace {

struct Part {
  const oci::Process& process;
  const oci::Linux& os;
  const HostFacts& facts;
  const PlanOptions& options;
  const MapTexts& maps;
  std::vector<std::string>& warnings;
};

void take_texts(const Part& in, ProcessPlan& out) {
  if (in.process.args.empty()) fail(ErrorKind::invalid_argument, "process.args: must not be empty");
  for (const std::string& argument : in.process.args) checked_text(argument, "process.args");
  for (const std::string& variable : in.process.env) checked_text(variable, "process.env");
  checked_text(in.process.cwd, "process.cwd");
  if (!in.process.cwd.starts_with('/'))
    fail(ErrorKind::invalid_argument, "process.cwd: \"{}\" is not an absolute path", printable(in.process.cwd));
  out.arguments = in.process.args;
  out.environment = in.process.env;
  out.working_directory = in.process.cwd;
  out.terminal = in.process.terminal;
  if (!in.process.console_size) return;
  out.rows = static_cast<std::uint16_t>(std::min(in.process.console_size->height, 65535U));
  out.columns = static_cast<std::uint16_t>(std::min(in.process.console_size->width, 65535U));
}

void check_id(const std::string& map, std::uint32_t id, std::string_view field) {
  if (id == UINT32_MAX) fail(ErrorKind::invalid_argument, "{}: 4294967295 is no id", field);
  if (host_id(map, id) == UINT32_MAX)
    fail(ErrorKind::invalid_argument, "{}: id {} is not in the container's id map", field, id);
}

void take_user(const Part& in, ProcessPlan& out) {
  const oci::User& user = in.process.user;
  check_id(in.maps.uid, user.uid, "process.user.uid");
  check_id(in.maps.gid, user.gid, "process.user.gid");
  out.uid = user.uid;
  out.gid = user.gid;
  out.umask = user.umask;
  // The primary group too, or dropping it would lift what a file denies it (CVE-2022-36109).
  out.groups = {user.gid};
  for (const std::uint32_t group : user.additional_gids) {
    check_id(in.maps.gid, group, "process.user.additionalGids");
    if (std::ranges::find(out.groups, group) == out.groups.end()) out.groups.push_back(group);
  }
}

// --- capabilities ---

// One name in five sets is one warning.
void warn_once(const Part& in, std::string text) {
  if (std::ranges::find(in.warnings, text) == in.warnings.end()) in.warnings.push_back(std::move(text));
}

std::uint64_t capability_set(const Part& in, const std::vector<std::string>& names) {
  std::uint64_t set = 0;
  for (const std::string& name : names) {
    const auto number = kernel::capability_number(name);
    if (number && *number <= in.facts.last_capability)
      set |= kernel::capability_bit(*number);
    else
      warn_once(in, fmt::format("capability {} is unknown to this kernel and left out", printable(name)));
  }
  return set;
}

void take_capabilities(const Part& in, ProcessPlan& out) {
  if (!in.process.capabilities) return;
  const oci::LinuxCapabilities& named = *in.process.capabilities;
  CapabilitySets& sets = out.capabilities;
  sets.bounding = capability_set(in, named.bounding);
  sets.effective = capability_set(in, named.effective);
  sets.permitted = capability_set(in, named.permitted);
  sets.inheritable = capability_set(in, named.inheritable);
  sets.ambient = capability_set(in, named.ambient);
  if ((sets.effective & ~sets.permitted) != 0)
    fail(ErrorKind::invalid_argument, "process.capabilities.effective: has capabilities that permitted lacks");
  // What the kernel demands of an ambient capability (capabilities(7)); it cannot be granted otherwise, and is told.
  for (unsigned i = 0; i < 64; ++i)
    if ((sets.ambient & ~(sets.permitted & sets.inheritable) & kernel::capability_bit(i)) != 0)
      in.warnings.push_back(
          fmt::format("process.capabilities.ambient: {} is left out: permitted or inheritable lacks it",
                      kernel::capability_name(i)));
  sets.ambient &= sets.permitted & sets.inheritable;
  // In a user namespace of its own a process has every capability, whatever we have.
  if (!in.maps.empty()) return;
  const std::uint64_t all = sets.bounding | sets.effective | sets.permitted | sets.inheritable | sets.ambient;
  for (unsigned i = 0; i < 64; ++i)
    if ((all & ~in.facts.capabilities & kernel::capability_bit(i)) != 0)
      in.warnings.push_back(
          fmt::format("{} is left out: the engine itself does not have it", kernel::capability_name(i)));
  for (std::uint64_t* set : {&sets.bounding, &sets.effective, &sets.permitted, &sets.inheritable, &sets.ambient})
    *set &= in.facts.capabilities;
}

// --- limits and scheduling ---

void take_limits(const Part& in, ProcessPlan& out) {
  for (const oci::Rlimit& limit : in.process.rlimits) {
    const auto number = kernel::resource_number(limit.type);
    if (!number || !limit.type.starts_with("RLIMIT_"))
      fail(ErrorKind::invalid_argument, "process.rlimits: unknown type \"{}\"", printable(limit.type));
    if (limit.soft > limit.hard)
      fail(ErrorKind::invalid_argument, "process.rlimits: {}: soft limit {} is above the hard limit {}", limit.type,
           limit.soft, limit.hard);
    if (std::ranges::find(out.limits, *number, &ResourceLimit::resource) != out.limits.end())
      fail(ErrorKind::invalid_argument, "process.rlimits: {} is there twice", limit.type);
    out.limits.push_back({*number, limit.soft, limit.hard});
  }
}

template <typename Table>
auto look_up(const Table& table, const std::string& name, std::string_view field) {
  for (const auto& [known, value] : table)
    if (known == name) return value;
  fail(ErrorKind::invalid_argument, "{}: unknown value \"{}\"", field, printable(name));
}

// What sched_setattr(2) would answer with a bare EINVAL.
void check_scheduler(const oci::Scheduler& s, std::uint32_t policy) {
  constexpr std::uint32_t kFifo = 1;
  constexpr std::uint32_t kRoundRobin = 2;
  constexpr std::uint32_t kDeadline = 6;
  const bool real_time = policy == kFifo || policy == kRoundRobin;
  if (s.nice < -20 || s.nice > 19)
    fail(ErrorKind::invalid_argument, "process.scheduler.nice: {} is not in -20…19", s.nice);
  if (real_time ? s.priority < 1 || s.priority > 99 : s.priority != 0)
    fail(ErrorKind::invalid_argument, "process.scheduler.priority: {} is not what {} takes ({})", s.priority, s.policy,
         real_time ? "1…99" : "0");
  if (policy != kDeadline && (s.runtime != 0 || s.deadline != 0 || s.period != 0))
    fail(ErrorKind::invalid_argument, "process.scheduler: runtime, deadline and period are for SCHED_DEADLINE");
  if (policy == kDeadline && (s.runtime == 0 || s.deadline < s.runtime || (s.period != 0 && s.period < s.deadline)))
    fail(ErrorKind::invalid_argument, "process.scheduler: SCHED_DEADLINE wants 0 < runtime <= deadline <= period");
}

void take_scheduling(const Part& in, ProcessPlan& out) {
  constexpr std::pair<std::string_view, std::uint32_t> kPolicies[] = {{"SCHED_OTHER", 0}, {"SCHED_FIFO", 1},
                                                                      {"SCHED_RR", 2},    {"SCHED_BATCH", 3},
                                                                      {"SCHED_IDLE", 5},  {"SCHED_DEADLINE", 6}};
  constexpr std::pair<std::string_view, std::uint64_t> kFlags[] = {
      {"SCHED_FLAG_RESET_ON_FORK", 1},  {"SCHED_FLAG_RECLAIM", 2},      {"SCHED_FLAG_DL_OVERRUN", 4},
      {"SCHED_FLAG_KEEP_POLICY", 8},    {"SCHED_FLAG_KEEP_PARAMS", 16}, {"SCHED_FLAG_UTIL_CLAMP_MIN", 32},
      {"SCHED_FLAG_UTIL_CLAMP_MAX", 64}};
  constexpr std::pair<std::string_view, std::uint32_t> kClasses[] = {
      {"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}};
  if (in.process.scheduler) {
    const oci::Scheduler& s = *in.process.scheduler;
    Scheduling plan;
    plan.policy = look_up(kPolicies, s.policy, "process.scheduler.policy");
    check_scheduler(s, plan.policy);
    for (const std::string& flag : s.flags) plan.flags |= look_up(kFlags, flag, "process.scheduler.flags");
    plan.nice = s.nice;
    plan.priority = static_cast<std::uint32_t>(s.priority);
    plan.runtime = s.runtime;
    plan.deadline = s.deadline;
    plan.period = s.period;
    out.scheduling = plan;
  }
  if (in.process.io_priority) {
    const oci::IoPriority& p = *in.process.io_priority;
    if (p.priority < 0 || p.priority > 7)
      fail(ErrorKind::invalid_argument, "process.ioPriority.priority: {} is not in 0…7", p.priority);
    out.io_priority =
        look_up(kClasses, p.io_class, "process.ioPriority.class") << 13 | static_cast<std::uint32_t>(p.priority);
  }
}

void take_personality(const Part& in, ProcessPlan& out) {
  if (!in.os.personality) return;
  constexpr std::pair<std::string_view, std::uint64_t> kDomains[] = {{"LINUX", PER_LINUX}, {"LINUX32", PER_LINUX32}};
  if (!in.os.personality->flags.empty()) fail(ErrorKind::unsupported, "linux.personality.flags: not supported");
  out.personality = look_up(kDomains, in.os.personality->domain, "linux.personality.domain");
}

// --- confinement ---

void take_labels(const Part& in, ProcessPlan& out) {
  const oci::Process& process = in.process;
  checked_text(process.apparmor_profile, "process.apparmorProfile");
  if (!process.apparmor_profile.empty() && !in.facts.apparmor)
    fail(ErrorKind::unsupported, "process.apparmorProfile: AppArmor is not enabled on this host");
  if (!process.selinux_label.empty() && !in.facts.selinux)
    fail(ErrorKind::unsupported, "process.selinuxLabel: SELinux is not enabled on this host");
  checked_context(process.selinux_label, "process.selinuxLabel");
  out.apparmor_profile = process.apparmor_profile;
  out.selinux_label = process.selinux_label;
}

void take_confinement(const Part& in, ProcessPlan& out) {
  out.no_new_privileges = in.process.no_new_privileges;
  if (in.options.default_seccomp)
    out.seccomp = default_seccomp_program(*in.options.default_seccomp, in.facts.kernel);
  else if (in.os.seccomp)
    out.seccomp = compile_seccomp_cached(*in.os.seccomp);
  take_labels(in, out);
  if (!in.options.no_new_keyring)
    out.session_keyring = in.options.keyring_name.empty() ? "_ses.bryo" : in.options.keyring_name;
  if (in.process.oom_score_adj && (*in.process.oom_score_adj < -1000 || *in.process.oom_score_adj > 1000))
    fail(ErrorKind::invalid_argument, "process.oomScoreAdj: {} is not in -1000…1000", *in.process.oom_score_adj);
  if (in.process.oom_score_adj) out.oom_score_adj = *in.process.oom_score_adj;
}

// One number, or a range, of a list of CPUs.
void add_cpus(std::string_view part, CpuSet& cpus, std::string_view field) {
  constexpr std::uint32_t kMaxCpu = 8191;  // the kernel's own limit, CONFIG_NR_CPUS
  const auto range = split_once(part, '-');
  const auto first = parse_integer<std::uint32_t>(trim(range ? range->first : part));
  const auto last = range ? parse_integer<std::uint32_t>(trim(range->second)) : first;
  if (!first || !last || *first > *last || *last > kMaxCpu)
    fail(ErrorKind::invalid_argument, "{}: \"{}\" is no list of CPUs such as 0-3,7", field, printable(part));
  if (cpus.size() <= *last / 64) cpus.resize(*last / 64 + 1);
  for (std::uint32_t cpu = *first; cpu <= *last; ++cpu) cpus[cpu / 64] |= std::uint64_t{1} << (cpu % 64);
}

}  // namespace

CpuSet parse_cpus(const std::string& text, std::string_view field) {
  CpuSet cpus;
  if (text.empty()) return cpus;
  for (const std::string_view part : split(text, ',')) add_cpus(part, cpus, field);
  return cpus;
}

ProcessPlan plan_process(const oci::Process& process, const oci::Linux& os, const HostFacts& facts,
                         const PlanOptions& options, const MapTexts& maps, std::vector<std::string>& warnings) {
  const Part in{process, os, facts, options, maps, warnings};
  ProcessPlan out;
  take_texts(in, out);
  take_user(in, out);
  take_capabilities(in, out);
  take_limits(in, out);
  take_scheduling(in, out);
  take_personality(in, out);
  take_confinement(in, out);
  return out;
}

}  // namespace bryo::runtime

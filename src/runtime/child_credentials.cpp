// Who the program is and what it may do. The order matters and is written here; at the end the kernel is asked whether
// it came out as planned (design/security.md D12).
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "kernel/raw.hpp"
#include "runtime/child.hpp"
#include "runtime/child_path.hpp"

namespace bryo::runtime::child {
namespace {

namespace raw = kernel::raw;

constexpr unsigned kCapSysAdmin = 21;
constexpr unsigned kMaxCapability = 63;
constexpr long kJoinSessionKeyring = 1;  // KEYCTL_JOIN_SESSION_KEYRING
constexpr long kIoPriorityProcess = 1;   // IOPRIO_WHO_PROCESS

struct Capabilities {
  std::uint64_t permitted = 0;
  std::uint64_t effective = 0;
  std::uint64_t inheritable = 0;
};

int set_capabilities(const Capabilities& wanted) noexcept {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {};
  for (int half = 0; half < 2; ++half) {
    data[half].permitted = static_cast<std::uint32_t>(wanted.permitted >> (32 * half));
    data[half].effective = static_cast<std::uint32_t>(wanted.effective >> (32 * half));
    data[half].inheritable = static_cast<std::uint32_t>(wanted.inheritable >> (32 * half));
  }
  return static_cast<int>(raw::call(SYS_capset, &header, data));
}

int get_capabilities(Capabilities& out) noexcept {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {};
  const long result = raw::call(SYS_capget, &header, data);
  out.permitted = data[0].permitted | static_cast<std::uint64_t>(data[1].permitted) << 32;
  out.effective = data[0].effective | static_cast<std::uint64_t>(data[1].effective) << 32;
  out.inheritable = data[0].inheritable | static_cast<std::uint64_t>(data[1].inheritable) << 32;
  return static_cast<int>(result);
}

// struct sched_attr of sched_setattr(2), which the C library does not declare.
struct SchedAttributes {
  std::uint32_t size;
  std::uint32_t policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime;
  std::uint64_t deadline;
  std::uint64_t period;
};

void set_scheduling(ChildContext& context) noexcept {
  const ProcessPlan& process = *context.process;
  if (process.scheduling) {
    const Scheduling& s = *process.scheduling;
    const SchedAttributes attributes = {sizeof attributes, s.policy,  s.flags,    s.nice,
                                        s.priority,        s.runtime, s.deadline, s.period};
    context.link.check(static_cast<int>(raw::call(SYS_sched_setattr, 0, &attributes, 0U)), {"set the scheduler"});
  }
  if (process.io_priority)
    context.link.check(static_cast<int>(raw::call(SYS_ioprio_set, kIoPriorityProcess, 0, *process.io_priority)),
                       {"set the I/O priority"});
  if (process.personality)
    context.link.check(static_cast<int>(raw::call(SYS_personality, *process.personality)), {"set the personality"});
}

void join_session_keyring(ChildContext& context) noexcept {
  const std::string& name = context.process->session_keyring;
  if (name.empty()) return;
  const long result = raw::call(SYS_keyctl, kJoinSessionKeyring, name.c_str());
  if (result < 0) context.link.warn(static_cast<int>(-result), {"make session keyring ", name.c_str()});
}

void set_labels(ChildContext& context) noexcept {
  const ProcessPlan& process = *context.process;
  if (!process.apparmor_profile.empty()) {
    FixedText<512> text;
    text.add("exec ").add(process.apparmor_profile.c_str());
    int result = write_own_proc(context, "attr/apparmor/exec", text.c_str(), text.size());
    if (result == -ENOENT) result = write_own_proc(context, "attr/exec", text.c_str(), text.size());
    context.link.check(result, {"set AppArmor profile ", process.apparmor_profile.c_str()});
  }
  if (!process.selinux_label.empty())
    context.link.check(write_own_proc(context, "attr/exec", process.selinux_label.data(), process.selinux_label.size()),
                       {"set SELinux label ", process.selinux_label.c_str()});
}

[[noreturn]] void cannot_enter(ChildContext& context, int error) noexcept {
  context.link.cannot_run(error, exit_code_of(error),
                          {"chdir to cwd (\"", context.process->working_directory.c_str(),
                           "\") set in config.json failed: ", reason_of(error)});
}

// A working directory outside the root would be a door to the host: the kernel says where we are
// (CVE-2024-21626). Magic links were refused on the way.
void enter_working_directory(ChildContext& context) noexcept {
  const ProcessPlan& process = *context.process;
  const char* path = process.working_directory.c_str();
  const int fd = process.create_working_directory ? make_path(context.root, path, Links::follow, true)
                                                  : open_path(context.root, path, Links::follow, O_DIRECTORY);
  const long result = fd >= 0 ? raw::call(SYS_fchdir, fd) : fd;
  if (result < 0) cannot_enter(context, static_cast<int>(-result));
  raw::close(fd);
  char where[4096];
  const long size = raw::call(SYS_getcwd, where, sizeof where);
  if (size < 0 || where[0] != '/') cannot_enter(context, EACCES);
}

void drop_bounding_set(ChildContext& context) noexcept {
  for (unsigned i = 0; i <= kMaxCapability; ++i) {
    if ((context.process->capabilities.bounding >> i & 1) != 0) continue;
    const int result = raw::prctl(PR_CAPBSET_DROP, i);
    // EINVAL: past the last capability of this kernel.
    if (result == -EINVAL) break;
    context.link.check(result, {"drop from the bounding set"});
  }
}

// Asked of the kernel as the other sets are, while no filter can stand in the way of the question.
void check_bounding_set(ChildContext& context) noexcept {
  for (unsigned i = 0; i <= kMaxCapability; ++i) {
    const int held = raw::prctl(PR_CAPBSET_READ, i);
    if (held == -EINVAL) break;
    if (held != 0 && (context.process->capabilities.bounding >> i & 1) == 0)
      context.link.fail(EPERM, {"check credentials: the kernel shows a larger bounding set than was set"});
  }
}

void set_ids(ChildContext& context) noexcept {
  const ProcessPlan& process = *context.process;
  if (process.keep_groups)
    context.may_set_groups = false;
  else if (context.may_set_groups)
    context.link.check(raw::setgroups(process.groups.size(), process.groups.data()), {"setgroups"});
  else if (process.groups.size() > 1)
    context.link.warn(EPERM, {"set process.user.additionalGids: the user namespace lets nobody set groups"});
  context.link.check(raw::setresgid(process.gid), {"setresgid (is the group in the container's map?)"});
  context.link.check(raw::setresuid(process.uid), {"setresuid (is the user in the container's map?)"});
  raw::prctl(PR_SET_DUMPABLE, 0);
}

void check_ids(ChildContext& context) noexcept {
  const ProcessPlan& process = *context.process;
  uid_t uid[3] = {};
  gid_t gid[3] = {};
  raw::call(SYS_getresuid, &uid[0], &uid[1], &uid[2]);
  raw::call(SYS_getresgid, &gid[0], &gid[1], &gid[2]);
  for (int i = 0; i < 3; ++i)
    if (uid[i] != process.uid || gid[i] != process.gid)
      context.link.fail(EPERM, {"check credentials: the kernel shows other ids than were set"});
  if (!context.may_set_groups) return;
  const long groups = raw::call(SYS_getgroups, 0, nullptr);
  if (groups != static_cast<long>(process.groups.size()))
    context.link.fail(EPERM, {"check credentials: the kernel shows other groups than were set"});
}

void set_limits(ChildContext& context) noexcept {
  for (const ResourceLimit& limit : context.limits) {
    const struct rlimit64 value = {limit.soft, limit.hard};
    if (const int result = raw::set_limit(0, limit.resource, value); result < 0) {
      FixedText<24> number;
      number.add_number(limit.resource);
      context.link.fail(-result, {"set resource limit ", number.c_str()});
    }
  }
}

// From here on the agent may have to answer for any call of ours but write(2), so the launcher takes the descriptor out
// of us; execve closes ours.
void hand_over_listener(ChildContext& context, int listener) noexcept {
  context.link.send(ReportKind::listener, listener);
  if (const int result = context.link.wait_for_word(ReportKind::taken); result < 0)
    context.link.fail(-result, {"hand the seccomp listener over (the profile must let read through)"});
}

void load_seccomp(ChildContext& context) noexcept {
  const SeccompProgram& program = context.process->seccomp;
  if (program.filter.empty()) return;
  struct sock_fprog filter = {};
  filter.len = static_cast<unsigned short>(program.filter.size() / sizeof(struct sock_filter));
  filter.filter = const_cast<struct sock_filter*>(reinterpret_cast<const struct sock_filter*>(program.filter.data()));
  const int listener = static_cast<int>(raw::call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, program.flags, &filter));
  context.link.check(listener, {"load the seccomp filter"});
  if (program.notifies()) hand_over_listener(context, listener);
}

void raise_ambient(ChildContext& context) noexcept {
  const std::uint64_t wanted = context.process->capabilities.ambient;
  // Whatever the launcher had is gone since setresuid or is named here.
  if (wanted == 0) return;
  for (unsigned i = 0; i <= kMaxCapability; ++i)
    if ((wanted >> i & 1) != 0)
      context.link.check(raw::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i), {"raise an ambient capability"});
}

void set_final_capabilities(ChildContext& context) noexcept {
  const CapabilitySets& sets = context.process->capabilities;
  const Capabilities wanted = {sets.permitted, sets.effective, sets.inheritable};
  context.link.check(set_capabilities(wanted), {"capset"});
  raise_ambient(context);
}

// A filter may forbid even this question; what it answers must not be more than planned.
void check_capabilities(ChildContext& context) noexcept {
  const CapabilitySets& sets = context.process->capabilities;
  Capabilities have;
  const int result = get_capabilities(have);
  if (result == -EPERM || result == -ENOSYS) return;
  if (result < 0 || (have.permitted & ~sets.permitted) != 0 || (have.effective & ~sets.effective) != 0 ||
      (have.inheritable & ~sets.inheritable) != 0)
    context.link.fail(EPERM, {"check credentials: the kernel shows more capabilities than were set"});
  // Only what is permitted and inheritable can be ambient.
  const std::uint64_t possible = have.permitted & have.inheritable & ~sets.ambient;
  for (unsigned i = 0; i <= kMaxCapability && possible >> i != 0; ++i)
    if ((possible >> i & 1) != 0 && raw::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i) == 1)
      context.link.fail(EPERM, {"check credentials: the kernel shows more ambient capabilities than were set"});
}

}  // namespace

void prepare_process(ChildContext& context) noexcept {
  join_session_keyring(context);
  set_scheduling(context);
  enter_working_directory(context);
  set_labels(context);
  raw::call(SYS_umask, context.process->umask.value_or(022));
}

void give_up_rights(ChildContext& context) noexcept {
  drop_bounding_set(context);
  check_bounding_set(context);
  context.link.check(raw::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL), {"clear the ambient set"});
  // Limits and the filter need rights that a change of uid would take away.
  raw::prctl(PR_SET_KEEPCAPS, 1);
  set_ids(context);
  check_ids(context);
}

void raise_own_limits(ChildContext& context) noexcept {
  for (const ResourceLimit& limit : context.limits) {
    struct rlimit64 now = {};
    raw::call(SYS_prlimit64, 0, limit.resource, nullptr, &now);
    if (limit.hard <= now.rlim_max) continue;
    now.rlim_max = limit.hard;
    context.link.check(raw::set_limit(0, limit.resource, now), {"raise a resource limit"});
  }
}

void narrow_rights(ChildContext& context) noexcept {
  const ProcessPlan& process = *context.process;
  Capabilities kept = {process.capabilities.permitted, 0, process.capabilities.inheritable};
  if (!process.no_new_privileges && !process.seccomp.filter.empty()) kept.permitted |= std::uint64_t{1} << kCapSysAdmin;
  kept.effective = kept.permitted;
  context.link.check(set_capabilities(kept), {"capset"});
}

void final_rights(ChildContext& context) noexcept {
  const ProcessPlan& process = *context.process;
  Capabilities now;
  context.link.check(get_capabilities(now), {"capget"});
  now.effective = now.permitted;
  context.link.check(set_capabilities(now), {"capset"});
  set_limits(context);
  raw::prctl(PR_SET_KEEPCAPS, 0);
  if (process.no_new_privileges) {
    context.link.check(raw::prctl(PR_SET_NO_NEW_PRIVS, 1), {"set no_new_privs"});
    set_final_capabilities(context);
    check_capabilities(context);
    load_seccomp(context);
    return;
  }
  // Without no_new_privs the filter takes CAP_SYS_ADMIN, so it comes before the last capset.
  load_seccomp(context);
  set_final_capabilities(context);
  check_capabilities(context);
}

}  // namespace bryo::runtime::child

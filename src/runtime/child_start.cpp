// The first lines of a child: alone with what it needs, in its cgroups, in its namespaces.
#include <signal.h>
#include <sys/prctl.h>

#include "kernel/raw.hpp"
#include "runtime/child.hpp"

namespace bryo::runtime::child {
namespace {

namespace raw = kernel::raw;

// As the kernel's struct sigaction begins; all zero is SIG_DFL.
struct DefaultAction {
  unsigned long words[4] = {};
};

// Ignored signals (the launcher's SIGPIPE) would stay ignored in the program.
void reset_signals() noexcept {
  const DefaultAction action;
  for (int signal = 1; signal <= 64; ++signal)
    if (signal != SIGKILL && signal != SIGSTOP) raw::call(SYS_rt_sigaction, signal, &action, nullptr, 8);
  const unsigned long none = 0;
  raw::call(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
}

}  // namespace

void close_all_but(std::span<const int> sorted) noexcept {
  unsigned next = 0;
  for (const int fd : sorted) {
    if (fd < 0) continue;
    const auto kept = static_cast<unsigned>(fd);
    if (kept > next) raw::close_range(next, kept - 1, 0);
    if (kept >= next) next = kept + 1;
  }
  raw::close_range(next, ~0U, 0);
}

void begin_child(ChildContext& context) noexcept {
  // Nobody in the container's user namespace may look into us before execve (CVE-2016-9962).
  raw::prctl(PR_SET_DUMPABLE, 0);
  close_all_but(context.keep);
  reset_signals();
  raw::call(SYS_umask, 022);
  context.link.check(static_cast<int>(raw::call(SYS_setsid)), {"setsid"});
}

namespace {

void run_on(ChildContext& context, const CpuSet& cpus, const char* field) noexcept {
  if (cpus.empty()) return;
  const long result = raw::call(SYS_sched_setaffinity, 0, cpus.size() * sizeof cpus[0], cpus.data());
  if (result < 0) context.link.fail(static_cast<int>(-result), {"set process.execCPUAffinity.", field});
}

}  // namespace

void enter_cgroups(ChildContext& context) noexcept {
  for (const int fd : context.cgroup_procs) {
    // "0" is the writer; the right to move is that of whoever opened the file.
    const long written = raw::call(SYS_write, fd, "0", 1UL);
    if (written < 0) context.link.fail(static_cast<int>(-written), {"enter the container's cgroup"});
    raw::close(fd);
  }
}

namespace {

// What a process of an exec is born with, and whatever it forks: never the launcher's own score, which may protect it.
void take_oom_score(ChildContext& context) noexcept {
  if (!context.process->oom_score_adj) return;
  const std::int32_t score = *context.process->oom_score_adj;
  FixedText<16> text;
  text.add(score < 0 ? "-" : "").add_number(static_cast<std::uint64_t>(score < 0 ? -std::int64_t{score} : score));
  const long fd = raw::call(SYS_open, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  const long written = fd < 0 ? fd : raw::call(SYS_write, fd, text.c_str(), text.size());
  if (written < 0) context.link.warn(static_cast<int>(-written), {"set oom_score_adj to ", text.c_str()});
  if (fd >= 0) raw::close(static_cast<int>(fd));
}

void enter_network(ChildContext& context) noexcept {
  if (context.network < 0) return;
  context.link.check(raw::setns(context.network, CLONE_NEWNET), {"enter the new network namespace"});
  raw::close(context.network);
}

void become_namespace_root(ChildContext& context) noexcept {
  if (!context.become_root) return;
  if (!context.process->keep_groups) {
    // EPERM: the namespace denies it, as one made without rights does (CVE-2014-8989).
    const int groups = raw::setgroups(0, nullptr);
    context.may_set_groups = groups != -EPERM;
    if (context.may_set_groups) context.link.check(groups, {"setgroups in the user namespace"});
  }
  context.link.check(raw::setresgid(0), {"become group 0 of the user namespace"});
  context.link.check(raw::setresuid(0), {"become user 0 of the user namespace"});
  // The kernel makes processes that change ids dumpable as fs.suid_dumpable says.
  raw::prctl(PR_SET_DUMPABLE, 0);
}

void receive_mounts(ChildContext& context) noexcept {
  std::size_t have = 0;
  do {
    const int more = context.link.wait_for(ReportKind::go, context.mounts.data() + have, context.mounts.size() - have);
    // The launcher gave up, and knows why.
    if (more <= 0) end(1);
    have += static_cast<std::size_t>(more);
  } while (have < context.mounts.size());
}

// unshare() moves only children into a new time namespace, and execve() ourselves only since Linux 6.3.
void enter_time_namespace(ChildContext& context) noexcept {
  if ((context.late_namespaces & CLONE_NEWTIME) == 0) return;
  const int proc = private_proc(context);
  // Under a map, in the host's pid namespace: no procfs for us. execve() has to do it.
  if (proc < 0) return;
  const int own = context.link.check(
      raw::open_below(proc, "self/ns", O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS),
      {"open our own namespaces"});
  const long fd = raw::call(SYS_openat, own, "time_for_children", O_RDONLY | O_CLOEXEC);
  raw::close(own);
  context.link.check(static_cast<int>(fd), {"open the new time namespace"});
  context.link.check(raw::setns(static_cast<int>(fd), CLONE_NEWTIME), {"enter the new time namespace"});
  raw::close(static_cast<int>(fd));
}

void wait_at_gate(ChildContext& context) noexcept {
  context.link.send(ReportKind::created);
  if (context.gate_listener < 0) {
    if (context.link.wait_for(ReportKind::start) < 0) end(1);
    return;
  }
  // Whoever connects and goes away again has not started anything.
  raw::close(context.link.fd());
  for (;;) {
    const long connection = raw::call(SYS_accept4, context.gate_listener, nullptr, nullptr, 02000000 /*SOCK_CLOEXEC*/);
    if (connection == -EINTR || connection == -ECONNABORTED) continue;
    if (connection < 0) end(1);
    context.link.use(static_cast<int>(connection));
    if (context.link.wait_for(ReportKind::start) >= 0) break;
    raw::close(static_cast<int>(connection));
  }
  raw::close(context.gate_listener);
}

}  // namespace

void run_container(ChildContext& context) noexcept {
  begin_child(context);
  enter_network(context);
  enter_cgroups(context);
  run_early_steps(context);
  receive_mounts(context);
  become_namespace_root(context);
  if (context.late_namespaces != 0)
    context.link.check(raw::unshare(context.late_namespaces), {"make the cgroup or time namespace"});
  run_steps(context);
  enter_time_namespace(context);
  prepare_process(context);
  place_descriptors(context);
  give_up_rights(context);
  find_program(context);
  wait_at_gate(context);
  run_start_hooks(context);
  final_rights(context);
  execute(context);
}

void run_joining_stage(ChildContext& context) noexcept {
  raw::prctl(PR_SET_DUMPABLE, 0);
  close_all_but(context.keep);
  // The user namespace comes last in the list: before it we have the host's rights over the others.
  for (const NamespaceToJoin& join : context.joins) {
    context.link.check(raw::setns(join.fd, join.flag), {"join a namespace"});
    raw::close(join.fd);
  }
  struct clone_args arguments = {};
  arguments.flags = context.clone_flags | CLONE_PARENT;
  const int pid = context.link.check(raw::clone3(arguments), {"clone"});
  if (pid == 0) run_container(context);
  context.link.send(ReportKind::stage, pid);
  end(0);
}

void run_exec_stage(ChildContext& context) noexcept {
  begin_child(context);
  take_oom_score(context);
  run_on(context, context.process->initial_cpus, "initial");
  enter_cgroups(context);
  run_on(context, context.process->final_cpus, "final");
  raise_own_limits(context);
  if (!context.process->apparmor_profile.empty() || !context.process->selinux_label.empty()) private_proc(context);
  context.link.check(raw::setns(context.init_pidfd, context.join_flags), {"join the container's namespaces"});
  raw::close(context.init_pidfd);
  become_namespace_root(context);
  context.root = context.link.check(static_cast<int>(raw::call(SYS_open, "/", O_PATH | O_DIRECTORY | O_CLOEXEC)),
                                    {"open the container's root"});
  if (context.process->terminal) open_terminal(context, false);
  prepare_process(context);
  if (context.proc >= 0) raw::close(context.proc);
  context.proc = -1;
  place_descriptors(context);
  give_up_rights(context);
  find_program(context);
  narrow_rights(context);
  struct clone_args arguments = {};
  arguments.flags = CLONE_PARENT;
  const int pid = context.link.check(raw::clone3(arguments), {"clone"});
  if (pid != 0) {
    context.link.send(ReportKind::stage, pid);
    end(0);
  }
  raw::prctl(PR_SET_DUMPABLE, 0);
  context.link.check(static_cast<int>(raw::call(SYS_setsid)), {"setsid"});
  take_terminal(context);
  final_rights(context);
  execute(context);
}

}  // namespace bryo::runtime::child

#include <signal.h>

#include "base/error.hpp"
#include "kernel/cgroup_delegation.hpp"
#include "kernel/namespaces.hpp"
#include "kernel/process.hpp"
#include "kernel/raw.hpp"
#include "runtime/container.hpp"
#include "runtime/launch_inputs.hpp"
#include "runtime/launcher_link.hpp"

namespace bryo::runtime {
namespace {

namespace raw = kernel::raw;

int join_flags(const ExecPlan& plan) {
  int flags = 0;
  for (const Namespace kind : plan.namespaces) flags |= kernel::namespace_flag(to_string(kind));
  return flags;
}

// The v2 cgroup that the container's first process is in; empty when it cannot be found.
UniqueFd cgroup_of_init(int init_pidfd) {
  const auto init = kernel::number_of(init_pidfd);
  const std::string path = init ? kernel::unified_directory_of(*init) : "";
  return UniqueFd(path.empty() ? -1 : raw::open_below(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY, 0));
}

// -errno; in the child it does not return.
int clone_stage_into(child::ChildContext& context, int cgroup, int& pidfd) {
  struct clone_args arguments = {};
  arguments.flags = CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  if (cgroup >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(cgroup);
  }
  const int pid = raw::clone3(arguments);
  if (pid == 0) child::run_exec_stage(context);
  return pid;
}

// The helper stage that joins the namespaces; it clones the process itself as our child.
ChildProcess clone_stage(child::ChildContext& context, const CgroupPlacement& cgroup) {
  int pidfd = -1;
  int pid = clone_stage_into(context, cgroup.directory, pidfd);
  // A systemd inside gives its cgroup's controllers to children and lives in one of them: the cgroup itself takes no
  // process any more (cgroup-v2.rst, "No Internal Process Constraint").
  if (pid == -EBUSY && cgroup.directory >= 0)
    if (const UniqueFd other = cgroup_of_init(context.init_pidfd)) pid = clone_stage_into(context, other.get(), pidfd);
  if (pid < 0) throw Error::from_errno(-pid, "clone a process for exec");
  return ChildProcess(pid, UniqueFd(pidfd));
}

// What was said until end of file.
struct Conversation {
  ChildProcess process;
  std::vector<std::string> warnings;
  UniqueFd pty_master;
  std::optional<ReceivedReport> failure;
  bool running = false;
  int listener = -1;  // its number in the process

  // The stage's and the process's messages may come in either order.
  void listen(int link, const ListenerHandler& on_listener) {
    while (auto report = receive_report(link)) {
      switch (report->kind) {
        case ReportKind::stage:
          process = ChildProcess(report->error, UniqueFd());
          break;
        case ReportKind::warning:
          warnings.push_back(to_warning(*report));
          break;
        case ReportKind::terminal:
          pty_master = std::move(report->descriptor);
          break;
        case ReportKind::running:
          running = true;
          break;
        case ReportKind::listener:
          listener = report->error;
          break;
        default:
          failure = std::move(report);
      }
      if (listener < 0 || process.pid() < 0) continue;
      take_listener(link, process.pid(), std::exchange(listener, -1), on_listener);
    }
  }
};

}  // namespace

ExecProcess ExecProcess::start(const ExecPlan& plan, int init_pidfd, const ExecInputs& inputs) {
  if (plan.process.seccomp.notifies() && !inputs.on_listener)
    fail(ErrorKind::unsupported, "linux.seccomp.listenerPath: notifications are not supported here");
  LinkPair pair;
  ChildInputs child_inputs(plan.process, inputs.stdio, inputs.cgroup, inputs.preserved);
  child::ChildContext& context = child_inputs.context();
  context.link = child::LauncherLink(pair.child.get());
  context.init_pidfd = init_pidfd;
  context.join_flags = join_flags(plan);
  context.become_root = (context.join_flags & CLONE_NEWUSER) != 0;
  context.may_set_groups = context.become_root || may_set_groups_here();
  child_inputs.keep(init_pidfd);
  child_inputs.keep(pair.child.get());
  child_inputs.ready();
  ExecProcess out;
  out.warnings_ = std::move(child_inputs.warnings());
  if (!plan.process.terminal) own_pipes(inputs.stdio, host_id(plan.maps.uid, plan.process.uid));

  ChildProcess stage = clone_stage(context, inputs.cgroup);
  pair.child.reset();
  Conversation conversation;
  conversation.listen(pair.launcher.get(), inputs.on_listener);
  stage.reap();
  if (conversation.failure) throw to_error(*conversation.failure);
  if (!conversation.running || conversation.process.pid() < 0)
    fail(ErrorKind::internal, "exec: the process ended before its program ran (is the container running?)");
  UniqueFd pidfd(raw::pidfd_open(conversation.process.pid()));
  if (pidfd.get() < 0) throw Error::from_errno(-pidfd.release(), "pidfd_open of the new process");
  out.pid_ = conversation.process.pid();
  out.pidfd_ = std::move(pidfd);
  out.pty_master_ = std::move(conversation.pty_master);
  for (std::string& warning : conversation.warnings) out.warnings_.push_back(std::move(warning));
  conversation.process.release();
  return out;
}

}  // namespace bryo::runtime

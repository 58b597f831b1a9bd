#include "runtime/container.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/wait.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/capabilities.hpp"
#include "kernel/namespaces.hpp"
#include "kernel/raw.hpp"
#include "kernel/resctrl.hpp"
#include "runtime/launch_inputs.hpp"
#include "runtime/launcher_link.hpp"
#include "runtime/prepare_mounts.hpp"

namespace bryo::runtime {
namespace {

namespace raw = kernel::raw;

enum class Phase { begun, mounted, created, started };

int flag_of(Namespace kind) { return kernel::namespace_flag(to_string(kind)); }

// The cgroup namespace is made late, by the child itself: its root is where the child is at that moment. The time
// namespace takes its offsets between unshare and execve.
bool made_late(Namespace kind) { return kind == Namespace::cgroup || kind == Namespace::time; }

void write_map(pid_t pid, const char* file, const std::string& text) {
  const std::string path = fmt::format("/proc/{}/{}", pid, file);
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) fail_errno("open {}", path);
  // One write: the kernel takes a map once and whole.
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    fail_errno("write \"{}\" to {}", text, path);
}

// What the kernel asks of a launcher without rights before it may map a group (CVE-2014-8989).
void deny_setgroups(pid_t pid) { write_map(pid, "setgroups", "deny"); }

}  // namespace

struct Container::State {
  const LaunchPlan* plan = nullptr;
  std::vector<int> descriptors;
  ChildProcess child;
  UniqueFd link;
  UniqueFd joined_user_namespace;
  std::vector<std::string> warnings;
  UniqueFd pty_master;
  Phase phase = Phase::begun;
  bool gate_elsewhere = false;
  bool gate_open = false;
  bool has_network = false;
  ListenerHandler on_listener;
  std::vector<UniqueFd> mounts;  // made ahead
  // Whoever closes the last descriptor of a detached mount waits for the kernel to take it apart (an RCU grace period
  // each): the child clones these, and the launcher has the time while the program runs.
  std::vector<UniqueFd> cloned_mounts;

  void clone_child(ChildInputs& inputs, const CgroupPlacement& cgroup);
  void follow_stage();
  std::optional<ReceivedReport> receive_until(ReportKind wanted);
  [[noreturn]] void failed(const ReceivedReport& report);
  [[noreturn]] void died(const char* when);
  void hand_listener_over(int number);
  void send_mounts();
  void keep_cloned();
  UniqueFd user_namespace() const;
};

namespace {

// Descriptors of the namespaces to be joined; the user namespace last.
class Joins {
 public:
  Joins(const LaunchPlan& plan, std::span<const int> descriptors) {
    for (const NamespacePlan& entry : plan.namespaces)
      if (entry.joins() && entry.kind != Namespace::user) add(entry, descriptors);
    for (const NamespacePlan& entry : plan.namespaces)
      if (entry.joins() && entry.kind == Namespace::user) add(entry, descriptors);
  }
  std::span<const child::NamespaceToJoin> list() const { return list_; }

 private:
  void add(const NamespacePlan& entry, std::span<const int> descriptors) {
    const int flag = flag_of(entry.kind);
    int fd = -1;
    if (entry.descriptor >= 0) {
      if (static_cast<std::size_t>(entry.descriptor) >= descriptors.size())
        fail(ErrorKind::invalid_argument, "launch plan: descriptor {} was not handed over", entry.descriptor);
      fd = descriptors[static_cast<std::size_t>(entry.descriptor)];
      kernel::check_namespace(fd, flag, fmt::format("{} namespace", to_string(entry.kind)));
    } else {
      fd = owned_.emplace_back(kernel::open_namespace_path(entry.path, flag)).get();
    }
    list_.push_back({fd, flag});
  }

  std::vector<UniqueFd> owned_;
  std::vector<child::NamespaceToJoin> list_;
};

// Who has it, of those that plan_sysctls lets pass.
Namespace owner_of(const SetSysctl& sysctl) {
  if (sysctl.path.starts_with("net/")) return Namespace::network;
  return sysctl.path == "kernel/hostname" || sysctl.path == "kernel/domainname" ? Namespace::uts : Namespace::ipc;
}

// A path or a descriptor may lead to a namespace of our own: the sysctl would be the host's (CVE-2022-0811).
void check_sysctls(const LaunchPlan& plan, const Joins& joins) {
  for (const Step& step : plan.steps) {
    const auto* sysctl = std::get_if<SetSysctl>(&step);
    if (sysctl == nullptr) continue;
    const Namespace owner = owner_of(*sysctl);
    const auto joined = std::ranges::find(joins.list(), flag_of(owner), &child::NamespaceToJoin::flag);
    if (joined == joins.list().end()) continue;
    const UniqueFd own = kernel::open_namespace(::getpid(), std::string(to_string(owner)));
    if (kernel::same_namespace(joined->fd, own.get()))
      fail(ErrorKind::invalid_argument,
           "linux.sysctl: {} is not allowed: the {} namespace that is joined is the host's", printable(sysctl->path),
           to_string(owner));
  }
}

unsigned long new_namespaces(const LaunchPlan& plan, bool late) {
  unsigned long flags = 0;
  for (const NamespacePlan& entry : plan.namespaces)
    if (!entry.joins() && made_late(entry.kind) == late) flags |= static_cast<unsigned long>(flag_of(entry.kind));
  return flags;
}

}  // namespace

Container::Container(std::unique_ptr<State> state) : state_(std::move(state)) {}
Container::~Container() = default;
Container::Container(Container&&) noexcept = default;
Container& Container::operator=(Container&&) noexcept = default;

pid_t Container::pid() const { return state_->child.pid(); }
int Container::pidfd() const { return state_->child.pidfd(); }
const std::vector<std::string>& Container::warnings() const { return state_->warnings; }
UniqueFd Container::take_pty_master() { return std::move(state_->pty_master); }

UniqueFd Container::open_namespace(Namespace kind) const {
  return kernel::open_namespace(pid(), std::string(to_string(kind)));
}

UniqueFd Container::network_namespace() const {
  return !state_->has_network ? UniqueFd() : open_namespace(Namespace::network);
}

void Container::State::clone_child(ChildInputs& inputs, const CgroupPlacement& cgroup) {
  child::ChildContext& context = inputs.ready();
  struct clone_args arguments = {};
  int pidfd = -1;
  arguments.flags = CLONE_PIDFD | (context.joins.empty() ? context.clone_flags : 0UL);
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  if (cgroup.directory >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(cgroup.directory);
  }
  const int pid = raw::clone3(arguments);
  if (pid < 0) throw Error::from_errno(-pid, "clone the container's first process");
  if (pid == 0) {
    if (context.joins.empty()) child::run_container(context);
    child::run_joining_stage(context);
  }
  child = ChildProcess(pid, UniqueFd(pidfd));
}

// The stage has cloned the container's first process as our child, told us its number, and is gone.
void Container::State::follow_stage() {
  const auto report = receive_until(ReportKind::stage);
  if (!report) died("while joining namespaces");
  child.reap();
  UniqueFd pidfd(raw::pidfd_open(report->error));
  if (pidfd.get() < 0) {
    const int number = -pidfd.release();
    child = ChildProcess(report->error, UniqueFd());
    throw Error::from_errno(number, "pidfd_open of the container's first process");
  }
  child = ChildProcess(report->error, std::move(pidfd));
}

void Container::State::failed(const ReceivedReport& report) {
  child.kill_and_reap();
  throw to_error(report);
}

void Container::State::died(const char* when) {
  child.kill_and_reap();
  fail(ErrorKind::internal, "the container's first process ended {}, without saying why (killed?)", when);
}

void Container::State::hand_listener_over(int number) {
  try {
    take_listener(link.get(), child.pid(), number, on_listener);
  } catch (const Error&) {
    child.kill_and_reap();
    throw;
  }
}

// Takes warnings and the terminal on the way; nullopt at end of file.
std::optional<ReceivedReport> Container::State::receive_until(ReportKind wanted) {
  while (auto report = receive_report(link.get())) {
    if (report->kind == wanted) return report;
    if (report->kind == ReportKind::warning)
      warnings.push_back(to_warning(*report));
    else if (report->kind == ReportKind::terminal)
      pty_master = std::move(report->descriptor);
    else if (report->kind == ReportKind::listener)
      hand_listener_over(report->error);
    else if (report->kind == ReportKind::failure)
      failed(*report);
    else
      fail(ErrorKind::internal, "the container's first process sent a message out of order");
  }
  return std::nullopt;
}

UniqueFd Container::State::user_namespace() const {
  return plan->find(Namespace::user) == nullptr ? UniqueFd() : kernel::open_namespace(child.pid(), "user");
}

Container Container::begin(const LaunchPlan& plan, const LaunchInputs& inputs) {
  auto state = std::make_unique<State>();
  state->plan = &plan;
  state->descriptors.assign(inputs.descriptors.begin(), inputs.descriptors.end());
  state->warnings = plan.warnings;
  state->has_network = plan.find(Namespace::network) != nullptr;
  state->gate_elsewhere = inputs.gate_listener >= 0;
  state->gate_open = inputs.gate_open && !state->gate_elsewhere;
  state->on_listener = inputs.on_listener;
  if (inputs.mounts != nullptr && !inputs.mounts->empty()) {
    if (plan.find(Namespace::user) != nullptr)
      fail(ErrorKind::invalid_argument, "launch: mounts were made ahead of the user namespace that they belong to");
    state->mounts = std::move(*inputs.mounts);
  }
  if (plan.process.seccomp.notifies() && !state->gate_elsewhere && !inputs.on_listener)
    fail(ErrorKind::unsupported, "linux.seccomp.listenerPath: notifications are not supported here");

  if (inputs.network >= 0 && (!plan.creates(Namespace::network) || plan.find(Namespace::user) != nullptr))
    fail(ErrorKind::invalid_argument, "launch: no place for a network namespace that was made ahead");

  LinkPair pair;
  ChildInputs child_inputs(plan.process, inputs.stdio, inputs.cgroup, inputs.preserved);
  const Joins joins(plan, inputs.descriptors);
  if (!joins.list().empty()) check_sysctls(plan, joins);
  std::vector<int> mounts(1 + plan.sources.size(), -1);
  std::vector<int> filesystems(plan.steps.size(), -1);
  child::ChildContext& context = child_inputs.context();
  context.link = child::LauncherLink(pair.child.get());
  context.plan = &plan;
  context.mounts = mounts;
  context.filesystems = filesystems;
  context.become_root = maps_root(plan.maps);
  context.may_set_groups = context.become_root || may_set_groups_here();
  context.clone_flags = new_namespaces(plan, false);
  context.network = inputs.network;
  if (inputs.network >= 0) context.clone_flags &= ~static_cast<unsigned long>(CLONE_NEWNET);
  context.late_namespaces = static_cast<int>(new_namespaces(plan, true));
  context.joins = joins.list();
  context.gate_listener = inputs.gate_listener;
  context.no_pivot = inputs.no_pivot;
  if (inputs.hooks != nullptr) child_inputs.take_hooks(*inputs.hooks);
  for (const auto& join : joins.list()) child_inputs.keep(join.fd);
  if (inputs.gate_listener >= 0) child_inputs.keep(inputs.gate_listener);
  if (inputs.network >= 0) child_inputs.keep(inputs.network);
  child_inputs.keep(pair.child.get());
  for (std::string& warning : child_inputs.warnings()) state->warnings.push_back(std::move(warning));

  state->clone_child(child_inputs, inputs.cgroup);
  state->link = std::move(pair.launcher);
  pair.child.reset();
  if (!joins.list().empty()) state->follow_stage();

  const pid_t pid = state->child.pid();
  if (plan.creates(Namespace::user)) {
    if ((kernel::effective_capabilities() & kernel::capability_bit(CAP_SETGID)) == 0) deny_setgroups(pid);
    write_map(pid, "gid_map", plan.maps.gid);
    write_map(pid, "uid_map", plan.maps.uid);
  }
  if (plan.resctrl)
    kernel::enter_resctrl({plan.resctrl->path, plan.resctrl->may_make, plan.resctrl->schemata, plan.resctrl->monitor},
                          pid);
  child_inputs.raise_limits(pid);
  set_oom_score(pid, plan.process, state->warnings);
  if (!plan.process.terminal) own_pipes(inputs.stdio, host_id(plan.maps.uid, plan.process.uid));
  return Container(std::move(state));
}

void Container::State::send_mounts() {
  if (mounts.empty()) mounts = prepare_mounts(*plan, descriptors, user_namespace().get());
  std::vector<int> numbers;
  for (const UniqueFd& mount : mounts) numbers.push_back(mount.get());
  for (std::size_t at = 0; at < numbers.size(); at += kReportDescriptors) {
    const auto part = std::span<const int>(numbers).subspan(at, std::min(kReportDescriptors, numbers.size() - at));
    // A child that is gone has left a message, which is read next.
    if (!send_report(link.get(), ReportKind::go, static_cast<int>(numbers.size()), part)) return;
  }
  keep_cloned();
  mounts.clear();
}

void Container::State::keep_cloned() {
  for (const Step& step : plan->steps)
    if (const auto* attach = std::get_if<AttachSource>(&step); attach != nullptr && attach->in_order)
      cloned_mounts.push_back(std::move(mounts[1 + attach->source]));
}

void Container::wait_mounted() {
  State& state = *state_;
  state.send_mounts();
  if (!state.receive_until(ReportKind::mounted)) state.died("before everything was mounted");
  state.phase = Phase::mounted;
}

void Container::wait_created() {
  State& state = *state_;
  if (state.phase == Phase::mounted)
    send_report(state.link.get(), ReportKind::hooks_done);
  else
    state.send_mounts();
  // It lies in the child's queue until it comes to the gate.
  if (state.gate_open) send_report(state.link.get(), ReportKind::start);
  if (!state.receive_until(ReportKind::created)) state.died("before the container was ready");
  state.phase = Phase::created;
  // The child ends by itself when the link does, and is the caller's to reap.
  state.child.release();
  // Or it answers to whoever comes to the gate.
  if (state.gate_elsewhere) state.link.reset();
}

namespace {

// After the gate: end of file that follows `running` is the program's execve.
template <typename Receive>
bool executed(Receive&& receive) {
  if (!receive(ReportKind::running)) return false;
  // Anything but end of file is a failure, which throws.
  return !receive(ReportKind::created);
}

}  // namespace

void Container::start() {
  State& state = *state_;
  if (state.phase != Phase::created || state.gate_elsewhere)
    fail(ErrorKind::conflict, "start: the container is not waiting for it");
  state.child.reclaim();
  if (!state.gate_open) send_report(state.link.get(), ReportKind::start);
  if (!executed([&](ReportKind kind) { return state.receive_until(kind).has_value(); }))
    state.died("before it could execute its program");
  state.phase = Phase::started;
  state.child.release();
  state.link.reset();
  state.cloned_mounts.clear();
}

void open_gate(int connected, pid_t pid, const ListenerHandler& on_listener) {
  if (!send_report(connected, ReportKind::start)) fail(ErrorKind::not_found, "start: the container has ended");
  const auto receive = [&](ReportKind kind) {
    auto report = receive_report(connected);
    if (report && report->kind == ReportKind::listener) {
      take_listener(connected, pid, report->error, on_listener);
      report = receive_report(connected);
    }
    if (!report) return false;
    if (report->kind == ReportKind::failure) throw to_error(*report);
    return report->kind == kind;
  };
  if (!executed(receive))
    fail(ErrorKind::internal, "start: the container's first process ended before its program ran");
}

}  // namespace bryo::runtime

#include "monitor/session.hpp"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "monitor/exit_file.hpp"
#include "monitor/process_facts.hpp"

namespace bryo::monitor {
namespace {

constexpr std::chrono::seconds kQuiet{2};
constexpr std::chrono::seconds kRemovalPatience{10};
constexpr std::chrono::milliseconds kLongestRemovalPause{100};
constexpr std::size_t kMaxMissed = 256;
constexpr std::size_t kMaxListedExecs = 64;

std::vector<int> numbers(const std::vector<UniqueFd>& descriptors, std::size_t from) {
  std::vector<int> out;
  for (std::size_t i = from; i < descriptors.size(); ++i) out.push_back(descriptors[i].get());
  return out;
}

// What the cgroup's descriptors are while a process is put into it.
struct OpenCgroup {
  std::vector<UniqueFd> procs;
  UniqueFd directory;
  runtime::CgroupPlacement placement;

  explicit OpenCgroup(const std::optional<kernel::ContainerCgroup>& cgroup) {
    if (!cgroup) return;
    procs = cgroup->open_procs();
    directory = cgroup->open_directory();
    placement = {numbers(procs, 0), directory.get()};
  }
};

runtime::ChildStdio stdio_of(const ProgramEnds& ends) { return {ends.in.get(), ends.out.get(), ends.err.get()}; }

// A packet is bounded; the first warnings say most.
std::vector<std::string> bounded(std::vector<std::string> warnings) {
  std::size_t room = kMaxPayload / 2;
  std::vector<std::string> out;
  for (std::string& warning : warnings) {
    warning.resize(std::min<std::size_t>(warning.size(), 512));
    if (warning.size() + 8 > room) break;
    room -= warning.size() + 8;
    out.push_back(std::move(warning));
  }
  return out;
}

template <typename Message>
Message message_from_memory(const Packet& packet) {
  if (packet.descriptors.empty()) fail(ErrorKind::invalid_argument, "control message lacks its memory");
  return from_wire<Message>(from_memory(packet.descriptors.front().get()));
}

}  // namespace

Session::Session(EventLoop& loop, Launcher& launcher, UniqueFd connection, UniqueFd children)
    : loop_(loop),
      launcher_(launcher),
      children_(std::move(children)),
      control_(loop, std::move(connection), *this),
      forwards_(loop),
      removal_(loop, [this] { try_remove_cgroup(); }),
      sweep_(loop, [this] { sweep_execs(); }) {
  loop_.add(children_.get(), EPOLLIN, *this);
  loop_.when_quiet(kQuiet, [this] {
    if (log_) log_->release_memory();
    OutputPump::release_memory();
    give_back_heap();
  });
}

Session::~Session() { loop_.remove(children_.get(), *this); }

// --- requests
// ---------------------------------------------------------------------------------------------------------

Answer Session::on_request(MessageType type, Packet& packet) {
  if (!phase_.allows(type))
    fail(ErrorKind::conflict, "cannot {}: the container is {}", to_string(type), to_string(phase_.phase()));
  switch (type) {
    case MessageType::launch:
      return launch(packet);
    case MessageType::start:
      return start();
    case MessageType::attach:
      return attach(from_wire<AttachMessage>(packet.payload));
    case MessageType::exec:
      return exec(packet);
    case MessageType::resize:
      return resize(from_wire<ResizeMessage>(packet.payload));
    case MessageType::signal:
      return signal(from_wire<SignalMessage>(packet.payload));
    case MessageType::set_ports:
      return set_ports(packet);
    case MessageType::reopen_log:
      if (log_) log_->reopen();
      return {};
    case MessageType::status:
      return status();
    default:
      return {};  // close: done when it is answered
  }
}

void Session::on_answered(MessageType type) {
  if (type == MessageType::launch) finish_launch();
  if (type == MessageType::status) send_what_was_missed();
  if (type == MessageType::close) close();
}

Answer Session::launch(Packet& packet) {
  const auto request = message_from_memory<LaunchMessage>(packet);
  container_id_ = request.container_id;
  runtime_directory_ = request.runtime_directory;
  console_size_ = request.console_size;
  control_.listen(runtime_directory_);
  log_ = std::make_unique<LogWriter>(request.log);
  const StreamOptions options{request.terminal, request.open_stdin, request.stdin_once, false};
  streams_ = std::make_unique<ProcessStreams>(loop_, options, log_.get(), [this] { report_exit(); });
  streams_->when_deserted([this] { sweep_.arm(std::chrono::milliseconds(0)); });
  try {
    make_cgroup(request);
    const OpenCgroup cgroup(cgroup_);
    const ProgramEnds ends = streams_->open_pipes();
    plan_descriptors_ = std::move(packet.descriptors);
    init_ = launcher_.begin(request.plan, numbers(plan_descriptors_, 1), stdio_of(ends), cgroup.placement);
    init_start_time_ = process_start_time(init_);
    phase_.created();
    Answer answer{to_wire(CreatedMessage{init_, init_start_time_}), {}};
    if (request.wait_for_network)
      if (UniqueFd network = launcher_.network_namespace()) answer.descriptors.push_back(std::move(network));
    return answer;
  } catch (...) {
    tear_down();
    throw;
  }
}

void Session::make_cgroup(const LaunchMessage& request) {
  if (request.cgroup_path.empty()) return;
  const auto layout = kernel::CgroupLayout::from_parts(request.cgroup_hierarchies, request.cgroup_unified);
  cgroup_ = kernel::ContainerCgroup::create(layout, request.cgroup_path, request.cgroup_limits);
}

// What can be done while bryod sets the network up. Its failure is the answer to start().
void Session::finish_launch() {
  if (phase_.phase() != ContainerPhase::Phase::created) return;
  try {
    launcher_.wait_created();
    if (UniqueFd terminal = launcher_.take_terminal()) {
      streams_->set_terminal(std::move(terminal));
      if (console_size_.rows != 0) streams_->resize(console_size_);
    }
  } catch (const Error& error) {
    launch_error_ = error;
    init_ = 0;
    streams_->process_ended();
  }
  plan_descriptors_.clear();
}

Answer Session::start() {
  try {
    if (launch_error_) throw *launch_error_;
    launcher_.start();
  } catch (const Error&) {
    init_ = 0;
    phase_.exited();
    acknowledged_ = true;  // the answer says it all: no exit is reported for what never ran
    streams_->process_ended();
    tear_down();
    throw;
  }
  phase_.started();
  return {to_wire(StartedMessage{init_, init_start_time_, bounded(launcher_.warnings())}), {}};
}

Answer Session::attach(const AttachMessage& request) {
  Answer answer;
  answer.descriptors.push_back(streams_->attach({request.stdin_stream, request.stdout_stream, request.stderr_stream}));
  return answer;
}

Answer Session::exec(Packet& packet) {
  const auto request = message_from_memory<ExecMessage>(packet);
  const std::string& id = request.exec_id;
  if (id.empty() || execs_.contains(id)) fail(ErrorKind::conflict, "exec \"{}\" exists already", id);
  const AttachRequest wants{request.attach.stdin_stream, request.attach.stdout_stream, request.attach.stderr_stream};
  const bool attached = wants.stdin_stream || wants.stdout_stream || wants.stderr_stream;
  const bool discard = !wants.stdout_stream && !wants.stderr_stream && !request.terminal;
  Exec exec;
  exec.streams =
      std::make_unique<ProcessStreams>(loop_, StreamOptions{request.terminal, wants.stdin_stream, true, discard},
                                       nullptr, [this, id] { report_exec(id); });
  exec.streams->when_deserted([this] { sweep_.arm(std::chrono::milliseconds(0)); });
  Answer answer;
  if (attached) answer.descriptors.push_back(exec.streams->attach(wants));
  const OpenCgroup cgroup(cgroup_);
  const ProgramEnds ends = exec.streams->open_pipes();
  LaunchedExec launched = launcher_.exec(request.plan, stdio_of(ends), cgroup.placement);
  exec.pid = launched.pid;
  try {
    if (launched.terminal) exec.streams->set_terminal(std::move(launched.terminal));
    if (request.terminal && request.console_size.rows != 0) exec.streams->resize(request.console_size);
  } catch (...) {
    ::kill(launched.pid, SIGKILL);  // our child, not reaped: the pid is still its own
    throw;
  }
  const StartedMessage started{launched.pid, process_start_time(launched.pid), bounded(std::move(launched.warnings))};
  answer.payload = to_wire(started);
  execs_.emplace(id, std::move(exec));
  return answer;
}

Answer Session::resize(const ResizeMessage& request) {
  if (request.exec_id.empty()) {
    streams_->resize(request.size);
    return {};
  }
  const auto found = execs_.find(request.exec_id);
  if (found == execs_.end()) fail(ErrorKind::not_found, "exec \"{}\" is not running", request.exec_id);
  found->second.streams->resize(request.size);
  return {};
}

Answer Session::signal(const SignalMessage& request) {
  if (init_ == 0 || ::syscall(SYS_pidfd_send_signal, launcher_.pidfd(), request.number, nullptr, 0) < 0) {
    if (init_ == 0 || errno == ESRCH) fail(ErrorKind::not_found, "the container's process has ended");
    fail_errno("send signal {} to the container's process", request.number);
  }
  return {};
}

Answer Session::set_ports(Packet& packet) {
  const auto request = from_wire<SetPortsMessage>(packet.payload);
  if (request.forwards.size() != packet.descriptors.size())
    fail(ErrorKind::invalid_argument, "{} forwards came with {} sockets", request.forwards.size(),
         packet.descriptors.size());
  if (request.replace) forwards_.stop_listening();
  for (std::size_t i = 0; i < request.forwards.size(); ++i) {
    const auto& forward = request.forwards[i];
    forwards_.add(forward.protocol, std::move(packet.descriptors[i]), forward.target_address, forward.target_port);
  }
  return {};
}

Answer Session::status() {
  StatusMessage message;
  message.pid = init_;
  message.start_time = init_start_time_;
  message.started = phase_.phase() == ContainerPhase::Phase::running || exit_.has_value();
  if (exit_) message.exit = to_exit_message(*exit_);
  for (const auto& [id, exec] : execs_)
    if (!exec.code && message.running_execs.size() < kMaxListedExecs) message.running_execs.push_back(id);
  message.log_lines_dropped = log_ ? log_->dropped() : 0;
  return {to_wire(message), {}};
}

void Session::close() {
  acknowledged_ = true;
  if (phase_.phase() == ContainerPhase::Phase::created) {
    kill_init();
    if (init_ == 0) tear_down();
  }
  if (phase_.phase() == ContainerPhase::Phase::fresh) tear_down();
  leave_if_done();
}

void Session::on_disconnected() {
  // Before the gate is open nobody but that bryod knows of the container.
  if (phase_.phase() == ContainerPhase::Phase::created || phase_.phase() == ContainerPhase::Phase::fresh) close();
  leave_if_done();
}

// --- ends
// -------------------------------------------------------------------------------------------------------------

void Session::on_events(std::uint32_t) {
  signalfd_siginfo info;
  while (::read(children_.get(), &info, sizeof info) > 0) {
  }
  reap();
}

void Session::reap() {
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0) {
    on_child(info.si_pid, info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status);
    info.si_pid = 0;
  }
}

void Session::on_child(pid_t pid, int code) {
  if (pid == init_) {
    init_died(code);
    return;
  }
  for (auto& [id, exec] : execs_) {
    if (exec.pid != pid || exec.code) continue;
    exec.code = code;
    exec.streams->process_ended();
    return;
  }
}

void Session::init_died(int code) {
  init_ = 0;
  ExitInfo info{code, false, wall_now()};
  if (cgroup_) {
    info.oom_killed = cgroup_->oom_kills() > 0;
    // Whoever is left (no pid namespace of its own, or an exec) goes with it, and lets go of its streams.
    if (!cgroup_->pids().empty()) cgroup_->kill_all();
  }
  exit_ = info;
  streams_->process_ended();
}

// Called by the streams: all output has been taken, the log is complete.
void Session::report_exit() {
  if (!exit_) return;  // it never ran
  const bool ran = phase_.phase() == ContainerPhase::Phase::running;
  phase_.exited();
  forwards_.clear();
  if (ran) {
    try {
      write_exit_file(runtime_directory_, *exit_);
    } catch (const Error&) {
      // Somebody removed the directory, or the disk is full: who is connected hears it all the same.
    }
  }
  control_.send_event(MessageType::exit_event, to_wire(to_exit_message(*exit_)));
  tear_down();
}

void Session::report_exec(const std::string& id) {
  Exec& exec = execs_.at(id);
  exec.reported = true;
  send_exec_exit(id, exec.code.value_or(0));
  sweep_.arm(std::chrono::milliseconds(0));
}

void Session::send_exec_exit(const std::string& id, int code) {
  const ExecExitMessage message{id, code};
  if (control_.connected())
    control_.send_event(MessageType::exec_exit_event, to_wire(message));
  else if (missed_.size() < kMaxMissed)
    missed_.push_back(message);
}

void Session::send_what_was_missed() {
  for (const ExecExitMessage& message : missed_) control_.send_event(MessageType::exec_exit_event, to_wire(message));
  missed_.clear();
  if (exit_ && phase_.phase() == ContainerPhase::Phase::exited)
    control_.send_event(MessageType::exit_event, to_wire(to_exit_message(*exit_)));
}

void Session::kill_init() {
  if (init_ != 0) ::syscall(SYS_pidfd_send_signal, launcher_.pidfd(), SIGKILL, nullptr, 0);
}

void Session::tear_down() {
  forwards_.clear();
  removal_deadline_ = EventLoop::Clock::now() + kRemovalPatience;
  removal_.arm(std::chrono::milliseconds(0));
}

void Session::try_remove_cgroup() {
  if (cgroup_ && !cgroup_->remove() && EventLoop::Clock::now() < removal_deadline_) {
    cgroup_->kill_all();
    removal_.arm(removal_pause_);
    removal_pause_ = std::min(removal_pause_ * 2, kLongestRemovalPause);
    return;
  }
  cgroup_.reset();
  torn_down_ = true;
  leave_if_done();
}

void Session::sweep_execs() {
  std::erase_if(execs_, [](const auto& item) { return item.second.reported && !item.second.streams->has_clients(); });
  leave_if_done();
}

void Session::leave_if_done() {
  if (!torn_down_) return;
  const bool over = acknowledged_ || !control_.connected();
  // For bryod the end of the connection means: nothing of this container is left, it may start again.
  if (over) control_.shut_down();
  const bool delivered =
      (!streams_ || !streams_->has_clients()) &&
      std::none_of(execs_.begin(), execs_.end(), [](const auto& item) { return item.second.streams->has_clients(); });
  if (over && delivered) loop_.stop();
}

}  // namespace bryo::monitor

// Session, the part that answers bryod: one function a request.
#include <fcntl.h>
#include <signal.h>

#include <algorithm>

#include "base/error.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/processes.hpp"
#include "monitor/session.hpp"

namespace bryo::monitor {
namespace {

constexpr std::size_t kMaxListedExecs = 64;

std::vector<int> numbers(const std::vector<UniqueFd>& descriptors, std::size_t from) {
  std::vector<int> out;
  for (std::size_t i = from; i < descriptors.size(); ++i) out.push_back(descriptors[i].get());
  return out;
}

runtime::ChildStdio stdio_of(const ProgramEnds& ends) { return {ends.in.get(), ends.out.get(), ends.err.get()}; }

std::uint64_t start_time_of(pid_t pid) {
  const auto stat = kernel::process_stat(pid);
  return stat ? stat->start_time : 0;
}

template <typename Message>
Message message_from_memory(const Packet& packet) {
  if (packet.descriptors.empty()) fail(ErrorKind::invalid_argument, "control message lacks its memory");
  return from_wire<Message>(from_memory(packet.descriptors.front().get()));
}

}  // namespace

Answer Session::on_request(MessageType type, Packet& packet) {
  if (!phase_.allows(type))
    fail(ErrorKind::conflict, "cannot {}: the container is {}", to_string(type), to_string(phase_.phase()));
  switch (type) {
    case MessageType::launch:
      return launch(packet);
    case MessageType::start:
      return start(packet);
    case MessageType::attach:
      return attach(packet);
    case MessageType::exec:
      return exec(packet);
    case MessageType::resize:
      return resize(from_wire<ResizeMessage>(packet.payload));
    case MessageType::signal:
      return signal(from_wire<SignalMessage>(packet.payload));
    case MessageType::set_ports:
      return set_ports(packet);
    case MessageType::remove_ports:
      return remove_ports(message_from_memory<RemovePortsMessage>(packet));
    case MessageType::use_bypass:
      return use_bypass(packet);
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
    const ProgramEnds ends = streams_->open_pipes();
    plan_descriptors_ = std::move(packet.descriptors);
    if (request.bypass) {
      stand_by_for_bypass(std::move(plan_descriptors_.back()));
      plan_descriptors_.pop_back();
    }
    if (request.bundle) bundle_ = std::make_unique<BundleKeeper>(*request.bundle, launcher_.oom_score_adj());
    init_ = launcher_.begin(request.plan, numbers(plan_descriptors_, 1), stdio_of(ends), placement(),
                            bundle_ ? bundle_->launch_hooks() : nullptr);
    if (bundle_) bundle_->begun();
    init_start_time_ = start_time_of(init_);
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

void Session::stand_by_for_bypass(UniqueFd link) {
  bypass_ = std::make_unique<BypassStandby>(loop_, std::move(link),
                                            [this] { control_.send_event(MessageType::bypass_lost_event, {}); });
  launcher_.hand_listeners_to([this](UniqueFd listener, pid_t) { bypass_->add(std::move(listener)); });
}

Answer Session::use_bypass(Packet& packet) {
  if (!bypass_) fail(ErrorKind::conflict, "this container was started without a bypass");
  if (packet.descriptors.empty()) fail(ErrorKind::invalid_argument, "control message lacks its link");
  bypass_->take(std::move(packet.descriptors.front()));
  return {};
}

void Session::make_cgroup(const LaunchMessage& request) {
  if (request.cgroup_path.empty()) return;
  const auto layout = kernel::CgroupLayout::from_parts(request.cgroup_hierarchies, request.cgroup_unified);
  cgroup_ = kernel::ContainerCgroup::create(layout, request.cgroup_path, request.cgroup_limits);
  // Kept for the execs to come: in version 1 these are two dozen system calls.
  cgroup_procs_ = cgroup_->open_procs();
  cgroup_directory_ = cgroup_->open_directory();
}

runtime::CgroupPlacement Session::placement() const { return {numbers(cgroup_procs_, 0), cgroup_directory_.get()}; }

// What can be done while bryod sets the network up. Its failure is the answer to start().
void Session::finish_launch() {
  if (phase_.phase() != ContainerPhase::Phase::created) return;
  try {
    std::function<void()> hooks;
    if (bundle_ && bundle_->launch_hooks() != nullptr) hooks = [this] { bundle_->run_create_hooks(init_); };
    launcher_.wait_created(hooks);
    mount_namespace_ = kernel::open_trusted(fmt::format("/proc/{}/ns/mnt", init_), O_RDONLY);
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

Answer Session::start(const Packet& packet) {
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
  if (bundle_) return run_poststart(packet);
  return {to_wire(StartedMessage{init_, init_start_time_, bounded_warnings(launcher_.warnings())}), {}};
}

// The answer comes when they have ended: they belong to the start.
Answer Session::run_poststart(const Packet& packet) {
  const auto done = [this, pid = init_, ticket = control_.ticket(packet)](const auto& failures) {
    std::vector<std::string> warnings = launcher_.warnings();
    warnings.insert(warnings.end(), failures.begin(), failures.end());
    const StartedMessage started{pid, init_start_time_, bounded_warnings(std::move(warnings))};
    control_.answer(ticket, {to_wire(started), {}});
    // Without a cgroup whoever is left could not be told from a hook.
    if (exit_ && !cgroup_) kernel::kill_descendants();
    if (exit_waits_) report_exit();
  };
  poststart_ = std::make_unique<HookSequence>(loop_, bundle_->poststart(init_), done);
  poststart_->begin();
  return {.payload = {}, .descriptors = {}, .later = true};
}

Answer Session::attach(Packet& packet) {
  const auto request = from_wire<AttachMessage>(packet.payload);
  const AttachRequest wants{request.stdin_stream, request.stdout_stream, request.stderr_stream};
  Answer answer;
  if (packet.descriptors.empty())
    answer.descriptors.push_back(streams_->attach(wants));
  else
    streams_->attach_to(wants, std::move(packet.descriptors.front()));
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
  const ProgramEnds ends = exec.streams->open_pipes();
  LaunchedExec launched = launcher_.exec(request.plan, stdio_of(ends), placement());
  exec.pid = launched.pid;
  try {
    if (launched.terminal) exec.streams->set_terminal(std::move(launched.terminal));
    if (request.terminal && request.console_size.rows != 0) exec.streams->resize(request.console_size);
  } catch (...) {
    ::kill(launched.pid, SIGKILL);  // our child, not reaped: the pid is still its own
    throw;
  }
  const StartedMessage started{launched.pid, start_time_of(launched.pid),
                               bounded_warnings(std::move(launched.warnings))};
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
  if (init_ == 0 || !kernel::send_signal(launcher_.pidfd(), request.number))
    fail(ErrorKind::not_found, "the container's process has ended");
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
    forwards_.add({forward.protocol, std::move(packet.descriptors[i]), forward.target_address, forward.target_port,
                   forward.other_target_address, forward.transparent});
  }
  return {};
}

Answer Session::remove_ports(const RemovePortsMessage& request) {
  forwards_.remove(request.ports, request.others);
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

}  // namespace bryo::monitor

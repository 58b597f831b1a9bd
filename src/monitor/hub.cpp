#include "monitor/hub.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "base/error.hpp"
#include "bypass/link.hpp"
#include "kernel/files.hpp"
#include "kernel/raw.hpp"
#include "kernel/sockets.hpp"
#include "kernel/start_program.hpp"
#include "monitor/exit_file.hpp"
#include "monitor/hub_loop.hpp"
#include "monitor/messages.hpp"
#include "monitor/packet.hpp"

namespace bryo::monitor {
namespace {

constexpr std::size_t kPortsAtOnce = 64;
constexpr int kEndPatience = 2000;  // ms

std::vector<int> numbers(const std::vector<UniqueFd>& descriptors) {
  std::vector<int> out;
  for (const UniqueFd& fd : descriptors) out.push_back(fd.get());
  return out;
}

LaunchMessage to_message(StartRequest& request, const kernel::CgroupLayout& cgroups) {
  LaunchMessage message;
  message.container_id = request.container_id;
  message.runtime_directory = request.runtime_directory;
  message.plan = std::move(request.plan);
  message.cgroup_hierarchies = cgroups.hierarchies();
  message.cgroup_unified = cgroups.unified();
  message.cgroup_path = request.cgroup_path;
  message.cgroup_limits = request.cgroup_limits;
  message.terminal = request.terminal;
  message.open_stdin = request.open_stdin;
  message.stdin_once = request.stdin_once;
  message.log = request.log;
  message.console_size = request.console_size;
  message.wait_for_network = request.wait_for_network;
  message.bypass = static_cast<bool>(request.bypass);
  message.bundle = std::move(request.bundle);
  return message;
}

// How long the hooks may take until the container has started: every answer until then may wait for them.
std::chrono::seconds time_for_hooks(const std::optional<Bundle>& bundle) {
  std::chrono::seconds sum{0};
  if (!bundle) return sum;
  const runtime::HookSet& hooks = bundle->hooks;
  for (const auto* list :
       {&hooks.prestart, &hooks.create_runtime, &hooks.create_container, &hooks.start_container, &hooks.poststart})
    for (const runtime::HookProgram& hook : *list) sum += std::chrono::seconds(hook.timeout.value_or(0));
  return sum;
}

// Several packets when there are more sockets than one may carry.
std::vector<std::future<Packet>> submit_ports(MonitorConnection& connection, const std::vector<PortForward>& ports,
                                              bool replace) {
  std::vector<std::future<Packet>> answers;
  std::size_t next = 0;
  do {
    SetPortsMessage message;
    message.replace = replace && next == 0;
    std::vector<int> sockets;
    for (; next < ports.size() && sockets.size() < kPortsAtOnce; ++next) {
      const PortForward& port = ports[next];
      message.forwards.push_back(
          {port.protocol, port.target_address, port.target_port, port.other_target_address, port.transparent});
      sockets.push_back(port.socket.get());
    }
    answers.push_back(connection.submit(MessageType::set_ports, to_wire(message), sockets));
  } while (next < ports.size());
  return answers;
}

// Stopped, or waiting for a disk: it is there, and so is its container.
[[noreturn]] void does_not_answer(const std::string& container_id, const std::string& who) {
  fail(ErrorKind::conflict,
       "container {} may be running: its monitor{} does not answer (is it stopped, or its log's disk stuck?). Continue "
       "or "
       "end that process, and start the engine again",
       container_id, who);
}

// A connection to a monitor that somebody else started; empty when nobody listens.
UniqueFd connect_to(const std::string& container_id, const std::string& runtime_directory) {
  if (!kernel::try_stat_at(AT_FDCWD, runtime_directory)) return {};
  const UniqueFd directory = kernel::open_at(AT_FDCWD, runtime_directory, O_PATH | O_DIRECTORY);
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) fail_errno("make a control socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto path = fmt::format("/proc/self/fd/{}/{}", directory.get(), kControlSocketName);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return {};
    if (errno == EAGAIN) does_not_answer(container_id, "");  // its queue is full
    fail_errno("connect to {}/{}", runtime_directory, kControlSocketName);
  }
  if (!peer_is_trusted(socket.get()))
    fail(ErrorKind::permission, "{}/{} belongs to somebody else", runtime_directory, kControlSocketName);
  return socket;
}

}  // namespace

MonitorHub::MonitorHub(MonitorProgram program, MonitorListener& listener, kernel::CgroupLayout cgroups)
    : loop_(std::make_unique<Loop>(std::move(program), listener, std::move(cgroups))) {}

MonitorHub::~MonitorHub() = default;

std::shared_ptr<Monitor> MonitorHub::spawn(StartRequest request) {
  if (request.plan_descriptors.size() + 2 > kMaxDescriptors)
    fail(ErrorKind::invalid_argument, "container {} needs {} descriptors; at most {} can be passed",
         request.container_id, request.plan_descriptors.size(), kMaxDescriptors - 2);
  loop_->wait_until_gone(request.container_id);
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) fail_errno("make the control socket pair");
  UniqueFd ours(fds[0]);
  loop_->start_program("bryo-monitor", request.container_id, UniqueFd(fds[1]));
  // Silent until it runs: before that, the callers hear of every failure themselves.
  const auto connection = std::make_shared<MonitorConnection>(request.container_id, std::move(ours));
  connection->wait_longer(time_for_hooks(request.bundle));
  auto monitor = std::make_shared<Monitor>(connection);
  loop_->watch(connection);
  const UniqueFd memory = to_memory(to_wire(to_message(request, loop_->cgroups())));
  std::vector<int> descriptors{memory.get()};
  for (const int fd : numbers(request.plan_descriptors)) descriptors.push_back(fd);
  if (request.bypass) descriptors.push_back(request.bypass.get());
  auto created = connection->submit(MessageType::launch, {}, descriptors);
  std::vector<std::future<Packet>> ports;
  if (!request.ports.empty()) ports = submit_ports(*connection, request.ports, true);
  connection->expect_launch(std::move(created), std::move(ports));
  return monitor;
}

void MonitorHub::start_bypass(const std::string& container_id, UniqueFd link) {
  loop_->start_program(bypass::kProgramName, container_id, std::move(link));
}

std::shared_ptr<Monitor> MonitorHub::reconnect(const std::string& container_id, const std::string& runtime_directory,
                                               std::chrono::seconds patience) {
  UniqueFd socket = connect_to(container_id, runtime_directory);
  if (!socket) return nullptr;
  const auto connection = std::make_shared<MonitorConnection>(container_id, std::move(socket));
  auto monitor = std::make_shared<Monitor>(connection);
  loop_->watch(connection);
  try {
    auto answer = connection->submit(MessageType::status, {}, {}, true);
    if (answer.wait_for(patience) != std::future_status::ready) does_not_answer(container_id, "");
    answer.get();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::unavailable && connection->has_ended()) return nullptr;  // it left just now
    throw;
  }
  return monitor;
}

std::optional<ExitInfo> MonitorHub::read_exit(const std::string& runtime_directory) {
  return read_exit_file(runtime_directory);
}

void MonitorHub::check_over(const std::string& container_id, const std::string& runtime_directory) {
  if (!kernel::try_stat_at(AT_FDCWD, runtime_directory)) return;
  loop_->wait_until_gone(container_id);
  // It may go as well while we wait.
  const UniqueFd directory(kernel::raw::open_below(AT_FDCWD, runtime_directory.c_str(), O_PATH | O_DIRECTORY, 0));
  const pid_t owner = directory ? kernel::unix_socket_owner(directory.get(), std::string(kControlSocketName)) : -1;
  if (owner <= 0) return;
  // One that has just told why it cannot start is about to end.
  const UniqueFd process(kernel::raw::pidfd_open(owner));
  if (process && !kernel::wait_for_end(process.get(), kEndPatience))
    does_not_answer(container_id, fmt::format(", process {},", owner));
}

Monitor::Monitor(std::shared_ptr<MonitorConnection> connection) : connection_(std::move(connection)) {}

Monitor::~Monitor() {
  if (connection_->closed()) return;  // the hub keeps the connection until the monitor has cleared everything away
  connection_->silence();
  connection_->hang_up();
}

const std::string& Monitor::container_id() const { return connection_->container_id(); }

UniqueFd Monitor::network_namespace() {
  connection_->wait_launched();
  return connection_->take_network_namespace();
}

Started Monitor::start() {
  connection_->wait_launched();
  constexpr std::chrono::seconds patience{120};
  const Packet answer = connection_->call(MessageType::start, {}, {}, patience, true);
  auto started = from_wire<StartedMessage>(answer.payload);
  return {started.pid, started.start_time, std::move(started.warnings)};
}

UniqueFd Monitor::attach(const AttachRequest& request) {
  connection_->wait_launched();
  const AttachMessage message{request.stdin_stream, request.stdout_stream, request.stderr_stream};
  Packet answer = connection_->call(MessageType::attach, to_wire(message));
  if (answer.descriptors.empty()) fail(ErrorKind::internal, "the monitor gave no stream to attach to");
  return std::move(answer.descriptors.front());
}

void Monitor::attach_to(const AttachRequest& request, UniqueFd socket) {
  connection_->wait_launched();
  const AttachMessage message{request.stdin_stream, request.stdout_stream, request.stderr_stream};
  const int descriptors[] = {socket.get()};
  connection_->call(MessageType::attach, to_wire(message), descriptors);
}

ExecStarted Monitor::exec(ExecRequest request) {
  constexpr std::chrono::seconds patience{60};
  const AttachMessage attach{request.attach.stdin_stream, request.attach.stdout_stream, request.attach.stderr_stream};
  const ExecMessage message{request.exec_id, std::move(request.plan), request.terminal, attach, request.console_size};
  const UniqueFd memory = to_memory(to_wire(message));
  std::vector<int> descriptors{memory.get()};
  for (const int fd : numbers(request.plan_descriptors)) descriptors.push_back(fd);
  Packet answer = connection_->call(MessageType::exec, {}, descriptors, patience);
  auto started = from_wire<StartedMessage>(answer.payload);
  ExecStarted result{started.pid, started.start_time, std::move(started.warnings), {}};
  if (!answer.descriptors.empty()) result.stream = std::move(answer.descriptors.front());
  return result;
}

void Monitor::resize(const std::string& exec_id, ConsoleSize size) {
  connection_->call(MessageType::resize, to_wire(ResizeMessage{exec_id, size}));
}

void Monitor::signal(int number) { connection_->call(MessageType::signal, to_wire(SignalMessage{number})); }

void Monitor::set_ports(std::vector<PortForward> ports) {
  for (auto& answer : submit_ports(*connection_, ports, true))
    connection_->wait(answer, MessageType::set_ports, std::chrono::seconds(10));
}

void Monitor::add_ports(std::vector<PortForward> ports) {
  for (auto& answer : submit_ports(*connection_, ports, false))
    connection_->wait(answer, MessageType::set_ports, std::chrono::seconds(10));
}

void Monitor::remove_ports(std::vector<PortName> ports) {
  const UniqueFd memory = to_memory(to_wire(RemovePortsMessage{false, std::move(ports)}));
  const int descriptors[] = {memory.get()};
  connection_->call(MessageType::remove_ports, {}, descriptors);
}

void Monitor::keep_ports(std::vector<PortName> ports) {
  const UniqueFd memory = to_memory(to_wire(RemovePortsMessage{true, std::move(ports)}));
  const int descriptors[] = {memory.get()};
  connection_->call(MessageType::remove_ports, {}, descriptors);
}

void Monitor::use_bypass(UniqueFd link) {
  const int descriptors[] = {link.get()};
  connection_->call(MessageType::use_bypass, {}, descriptors);
}

void Monitor::reopen_log() { connection_->call(MessageType::reopen_log, {}); }

MonitorStatus Monitor::status() {
  const Packet answer = connection_->call(MessageType::status, {});
  const auto message = from_wire<StatusMessage>(answer.payload);
  MonitorStatus status;
  status.process = {message.pid, message.start_time, {}};
  status.started = message.started;
  if (message.exit) status.exit = to_exit_info(*message.exit);
  status.running_execs = message.running_execs;
  status.log_lines_dropped = message.log_lines_dropped;
  return status;
}

void Monitor::close() { connection_->close(); }

}  // namespace bryo::monitor

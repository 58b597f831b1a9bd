#include "monitor/connection.hpp"

#include <poll.h>
#include <sys/socket.h>

#include "base/error.hpp"
#include "monitor/messages.hpp"

namespace bryo::monitor {
namespace {

constexpr std::chrono::seconds kSendPatience{10};
// A launch prepares mounts; storage may be slow.
constexpr std::chrono::seconds kLaunchPatience{60};

Error gone(const std::string& container_id) {
  return {ErrorKind::unavailable, fmt::format("the monitor of container {} has gone", container_id)};
}

}  // namespace

MonitorConnection::MonitorConnection(std::string container_id, UniqueFd socket)
    : container_id_(std::move(container_id)), socket_(std::move(socket)) {}

std::future<Packet> MonitorConnection::submit(MessageType type, std::string_view payload,
                                              std::span<const int> descriptors, bool announces) {
  const auto deadline = std::chrono::steady_clock::now() + kSendPatience;
  // Held while sending, so that requests of several threads keep the order of their numbers.
  const std::lock_guard lock(mutex_);
  if (ended_ || closed_) throw gone(container_id_);
  const std::uint32_t request = next_request_++;
  if (announces) announcing_request_ = request;
  auto answer = waiting_[request].get_future();
  while (true) {
    const Transfer transfer = send_packet(socket_.get(), type, request, payload, descriptors);
    if (transfer == Transfer::done) return answer;
    if (transfer == Transfer::closed) ended_ = true;
    if (transfer == Transfer::closed || std::chrono::steady_clock::now() > deadline) break;
    pollfd writable{socket_.get(), POLLOUT, 0};
    ::poll(&writable, 1, 100);
  }
  waiting_.erase(request);
  throw gone(container_id_);
}

Packet MonitorConnection::call(MessageType type, std::string_view payload, std::span<const int> descriptors,
                               std::chrono::seconds patience, bool announces) {
  auto answer = submit(type, payload, descriptors, announces);
  return wait(answer, type, patience);
}

Packet MonitorConnection::wait(std::future<Packet>& answer, MessageType type, std::chrono::seconds patience) const {
  patience += more_.load();
  if (answer.wait_for(patience) != std::future_status::ready)
    fail(ErrorKind::unavailable, "the monitor of container {} did not answer {} within {} s", container_id_,
         to_string(type), patience.count());
  return answer.get();
}

void MonitorConnection::expect_launch(std::future<Packet> created, std::vector<std::future<Packet>> ports) {
  const std::lock_guard lock(launch_mutex_);
  launch_ = std::move(created);
  launch_ports_ = std::move(ports);
}

void MonitorConnection::wait_launched() {
  const std::lock_guard lock(launch_mutex_);
  if (launch_failure_) std::rethrow_exception(launch_failure_);
  if (!launch_.valid()) return;
  try {
    Packet created = wait(launch_, MessageType::launch, kLaunchPatience);
    if (!created.descriptors.empty()) network_namespace_ = std::move(created.descriptors.front());
    for (auto& ports : launch_ports_) wait(ports, MessageType::set_ports, kLaunchPatience);
    launch_ports_.clear();
  } catch (...) {
    launch_failure_ = std::current_exception();
    throw;
  }
}

UniqueFd MonitorConnection::take_network_namespace() {
  const std::lock_guard lock(launch_mutex_);
  return std::move(network_namespace_);
}

void MonitorConnection::close() {
  try {
    submit(MessageType::close, {}, {});
  } catch (const Error&) {
    // It has gone already, which is what was wanted.
  }
  const std::lock_guard lock(mutex_);
  silent_ = true;
  closed_ = true;
}

bool MonitorConnection::closed() {
  const std::lock_guard lock(mutex_);
  return closed_;
}

bool MonitorConnection::has_ended() {
  const std::lock_guard lock(mutex_);
  return ended_;
}

void MonitorConnection::silence() {
  const std::lock_guard lock(mutex_);
  silent_ = true;
}

void MonitorConnection::hang_up() { ::shutdown(socket_.get(), SHUT_RDWR); }

bool MonitorConnection::receive(MonitorListener& listener) {
  while (true) {
    Packet packet;
    Transfer transfer = Transfer::closed;
    try {
      transfer = receive_packet(socket_.get(), packet);
    } catch (const Error&) {
      // Not our protocol: as good as gone.
    }
    if (transfer == Transfer::would_block) return true;
    if (transfer == Transfer::closed) return false;
    dispatch(std::move(packet), listener);
  }
}

void MonitorConnection::dispatch(Packet packet, MonitorListener& listener) try {
  if (packet.header.type == MessageType::exit_event) {
    {
      const std::lock_guard lock(mutex_);
      if (exit_reported_ || silent_) return;
      exit_reported_ = true;
    }
    listener.on_exit(container_id_, to_exit_info(from_wire<ExitMessage>(packet.payload)));
    return;
  }
  if (packet.header.type == MessageType::exec_exit_event) {
    const auto message = from_wire<ExecExitMessage>(packet.payload);
    listener.on_exec_exit(container_id_, message.exec_id, message.code);
    return;
  }
  if (packet.header.type == MessageType::bypass_lost_event) {
    listener.on_bypass_lost(container_id_);
    return;
  }
  if (packet.header.type == MessageType::warning_event) {
    listener.on_warning(container_id_, from_wire<WarningMessage>(packet.payload).text);
    return;
  }
  std::promise<Packet> answer;
  {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(packet.header.request);
    if (found == waiting_.end()) return;  // nobody waits any more
    answer = std::move(found->second);
    waiting_.erase(found);
    if (packet.header.type == MessageType::reply && packet.header.request == announcing_request_ && !closed_) {
      silent_ = false;
      more_ = std::chrono::seconds(0);
    }
  }
  if (packet.header.type == MessageType::failure)
    answer.set_exception(std::make_exception_ptr(to_error(from_wire<FailureMessage>(packet.payload))));
  else
    answer.set_value(std::move(packet));
} catch (const Error&) {
  hang_up();  // a payload that we do not understand
}

void MonitorConnection::ended(MonitorListener& listener) {
  std::map<std::uint32_t, std::promise<Packet>> waiting;
  bool news = false;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    waiting.swap(waiting_);
    news = !silent_ && !exit_reported_;
  }
  for (auto& [request, answer] : waiting) answer.set_exception(std::make_exception_ptr(gone(container_id_)));
  if (news) listener.on_lost(container_id_, "its monitor ended without reporting an exit");
}

}  // namespace bryo::monitor

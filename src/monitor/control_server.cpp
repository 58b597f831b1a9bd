#include "monitor/control_server.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>

#include "base/error.hpp"
#include "kernel/files.hpp"
#include "kernel/sockets.hpp"
#include "monitor/messages.hpp"

namespace bryo::monitor {
namespace {

// Answers that bryod has not read: far more than it ever has under way.
constexpr std::size_t kMaxQueue = 1024;
// No descriptors left: look again.
constexpr std::chrono::milliseconds kRetry{100};

// sockaddr_un holds 107 bytes; through the directory's descriptor any path fits.
sockaddr_un address_in(int directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto path = fmt::format("/proc/self/fd/{}/{}", directory, kControlSocketName);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace

ControlServer::ControlServer(EventLoop& loop, UniqueFd connection, ControlHandler& handler)
    : loop_(loop),
      connection_(std::move(connection)),
      handler_(handler),
      retry_(loop, [this] { loop_.add(listening_.get(), EPOLLIN, listener_); }) {
  loop_.add(connection_.get(), EPOLLIN, *this);
}

ControlServer::~ControlServer() { shut_down(); }

void ControlServer::listen(const std::string& runtime_directory) {
  const UniqueFd directory = kernel::open_at(AT_FDCWD, runtime_directory, O_RDONLY | O_DIRECTORY);
  const struct stat state = kernel::stat_fd(directory.get());
  // CVE-2020-15257: whoever reaches the socket drives the container.
  if (state.st_uid != ::geteuid() || (state.st_mode & 077) != 0)
    fail(ErrorKind::permission, "runtime directory {} must belong to uid {} with mode 0700", runtime_directory,
         ::geteuid());
  listening_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listening_) fail_errno("make the control socket");
  const std::string name(kControlSocketName);
  if (const pid_t other = kernel::unix_socket_owner(directory.get(), name); other > 0)
    fail(ErrorKind::conflict, "the last run of the container still has its monitor, process {}", other);
  // Of an earlier run.
  if (kernel::try_stat_at(directory.get(), name)) kernel::unlink_at(directory.get(), name);
  const sockaddr_un address = address_in(directory.get());
  if (::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
      ::listen(listening_.get(), 8) < 0)
    fail_errno("bind {}/{}", runtime_directory, kControlSocketName);
  loop_.add(listening_.get(), EPOLLIN, listener_);
}

void ControlServer::accept() {
  UniqueFd next(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!next && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
    // It stays in the queue, and epoll would go on telling.
    loop_.remove(listening_.get(), listener_);
    retry_.arm(kRetry);
    return;
  }
  if (!next || !peer_is_trusted(next.get())) return;
  if (connection_) loop_.remove(connection_.get(), *this);
  queue_.clear();
  ++generation_;
  connection_ = std::move(next);
  loop_.add(connection_.get(), EPOLLIN, *this);
}

void ControlServer::on_events(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) send_queued();
  Packet packet;
  while (connection_) {
    Transfer transfer = Transfer::closed;
    try {
      transfer = receive_packet(connection_.get(), packet);
    } catch (const Error&) {
      // Not our protocol: no answer would be understood.
    }
    if (transfer == Transfer::would_block) return;
    if (transfer == Transfer::closed) {
      disconnect();
      return;
    }
    serve(packet);
  }
}

void ControlServer::serve(Packet& packet) {
  const MessageType type = packet.header.type;
  const std::uint32_t request = packet.header.request;
  try {
    Answer answer = handler_.on_request(type, packet);
    if (!answer.later) send(MessageType::reply, request, std::move(answer));
  } catch (const Error& error) {
    send(MessageType::failure, request, {to_wire(to_failure(error)), {}});
  }
  handler_.on_answered(type);
}

void ControlServer::answer(const Ticket& ticket, Answer answer) {
  if (ticket.connection == generation_) send(MessageType::reply, ticket.request, std::move(answer));
}

void ControlServer::send_event(MessageType type, const std::string& payload) { send(type, 0, {payload, {}}); }

void ControlServer::send(MessageType type, std::uint32_t request, Answer answer) {
  if (!connection_) return;
  if (queue_.size() >= kMaxQueue) {
    disconnect();
    return;
  }
  queue_.push_back({type, request, std::move(answer)});
  send_queued();
}

void ControlServer::send_queued() {
  while (connection_ && !queue_.empty()) {
    const Queued& next = queue_.front();
    std::vector<int> descriptors;
    for (const UniqueFd& fd : next.answer.descriptors) descriptors.push_back(fd.get());
    const Transfer transfer = send_packet(connection_.get(), next.type, next.request, next.answer.payload, descriptors);
    // A closed connection is noticed by reading: what it still holds is served first.
    if (transfer == Transfer::would_block) break;
    queue_.pop_front();
  }
  if (connection_)
    loop_.change(connection_.get(), queue_.empty() ? std::uint32_t{EPOLLIN} : std::uint32_t{EPOLLIN | EPOLLOUT}, *this);
}

void ControlServer::disconnect() {
  loop_.remove(connection_.get(), *this);
  connection_.reset();
  queue_.clear();
  handler_.on_disconnected();
}

void ControlServer::shut_down() {
  // For the other side, the connection's end means that all else has ended.
  retry_.disarm();
  if (listening_) loop_.remove(listening_.get(), listener_);
  listening_.reset();
  if (connection_) loop_.remove(connection_.get(), *this);
  connection_.reset();
  queue_.clear();
}

}  // namespace bryo::monitor

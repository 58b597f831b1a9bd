#include "api/server.hpp"

#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "api/connection.hpp"
#include "api/server_core.hpp"
#include "base/log.hpp"
#include "kernel/idle_memory.hpp"

namespace bryo::api {
namespace {

using boost::system::error_code;

std::string headers_of_every_reply(bool experimental) {
  return fmt::format("Api-Version: {}\r\nDocker-Experimental: {}\r\nOstype: linux\r\nServer: Bryo/{} (linux)\r\n",
                     kNewestApi.str(), experimental, BRYO_VERSION);
}

Peer peer_of(const Listener& listener, int socket) {
  Peer peer;
  peer.local = listener.local;
  peer.tls = listener.tls;
  ucred caller{};
  socklen_t length = sizeof caller;
  if (listener.local && getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &caller, &length) == 0) {
    peer.uid = caller.uid;
    peer.gid = caller.gid;
  }
  return peer;
}

void tune_tcp(int socket) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

}  // namespace

ServerCore::ServerCore(Router routes, ServerOptions settings)
    : router(std::move(routes)),
      options(std::move(settings)),
      common_headers(headers_of_every_reply(options.experimental)),
      clients(options.max_threads),
      pool(options.max_threads) {}

void ServerCore::open_door(Listener listener) {
  const int fd = listener.socket.release();
  auto door = std::make_unique<Door>(Door{std::move(listener), boost::asio::posix::stream_descriptor(loop, fd)});
  door->socket.non_blocking(true);
  boost::asio::co_spawn(
      loop, [this, &door = *door] { return accept_all(door); }, boost::asio::detached);
  doors.push_back(std::move(door));
}

boost::asio::awaitable<void> ServerCore::accept_all(Door& door) {
  while (!stopping) {
    UniqueFd socket(::accept4(door.socket.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket) {
      accept_one(door, std::move(socket));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    error_code error;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      co_await door.socket.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                      boost::asio::redirect_error(boost::asio::use_awaitable, error));
      if (error) co_return;
      continue;
    }
    log::error("accept on {}: {}", door.listener.name, Error::from_errno(errno, "accept4").message());
    boost::asio::steady_timer pause(loop, std::chrono::milliseconds(100));  // out of descriptors or memory
    co_await pause.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, error));
  }
}

void ServerCore::accept_one(Door& door, UniqueFd socket) {
  const Peer peer = peer_of(door.listener, socket.get());
  if (!peer.local) tune_tcp(socket.get());
  if (connections.size() >= options.max_connections) make_room();
  auto transport =
      door.listener.tls ? tls_transport(loop, std::move(socket), *tls) : plain_transport(loop, std::move(socket));
  const auto connection = std::make_shared<Connection>(*this, std::move(transport), peer);
  connections.insert(connection.get());
  connection_count = connections.size();
  boost::asio::co_spawn(
      loop, [connection] { return connection->serve(); }, boost::asio::detached);
}

// The connection that has waited longest for a request makes room for the new one, so silent ones cannot shut others
// out.
void ServerCore::make_room() {
  Connection* oldest = nullptr;
  for (Connection* candidate : connections)
    if (candidate->waiting() && (oldest == nullptr || candidate->deadline() < oldest->deadline())) oldest = candidate;
  if (oldest != nullptr) oldest->abort();
}

void ServerCore::sweep_by(std::chrono::steady_clock::time_point when) {
  if (stopping || when >= next_sweep_) return;
  next_sweep_ = when;
  sweeper_.expires_at(when);
  sweeper_.async_wait([this](const error_code& error) {
    if (!error) sweep();
  });
}

// Wakes up when somebody's time is up and at no other moment: an idle engine sleeps.
void ServerCore::sweep() {
  constexpr std::chrono::milliseconds kMostOften{10};
  const auto now = Connection::Clock::now();
  auto next = Connection::Clock::time_point::max();
  std::vector<std::shared_ptr<Connection>> late;
  for (Connection* connection : connections) {
    if (connection->deadline() <= now)
      late.push_back(connection->shared_from_this());
    else
      next = std::min(next, connection->deadline());
  }
  next_sweep_ = Connection::Clock::time_point::max();
  for (const auto& connection : late) connection->abort();
  if (next != Connection::Clock::time_point::max()) sweep_by(std::max(next, now + kMostOften));
}

void ServerCore::watch(const std::vector<int>& signals, std::function<void(int)> callback) {
  auto set = std::make_unique<boost::asio::signal_set>(loop);
  for (const int number : signals) set->add(number);
  const auto shared = std::make_shared<std::function<void(int)>>(std::move(callback));
  auto wait = [this, shared, set = set.get()]() -> boost::asio::awaitable<void> {
    while (!stopping) {
      error_code error;
      const int number = co_await set->async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, error));
      if (error) co_return;
      (*shared)(number);
    }
  };
  boost::asio::co_spawn(loop, std::move(wait), boost::asio::detached);
  signals_.push_back(std::move(set));
}

void ServerCore::forget(Connection* connection) {
  connections.erase(connection);
  connection_count = connections.size();
  if (stopping && connections.empty()) drain_.cancel();
  rest_later();
}

// Idle memory is what counts for a daemon: once a burst of requests is over and the threads that worked on it have
// ended, what they freed goes back to the system, and so do the pages of code that only they needed. Done by this
// thread, which nothing wakes up afterwards: whoever runs next brings pages back.
void ServerCore::rest_later() {
  busy_ = true;
  if (!stopping && !std::exchange(resting_, true)) wait_for_rest();
}

void ServerCore::wait_for_rest() {
  busy_ = false;
  constexpr auto kUntilThreadsHaveEnded = WorkerPool::kIdleTime * 3 / 2;
  rest_.expires_after(kUntilThreadsHaveEnded);
  rest_.async_wait([this](const error_code& error) {
    if (error || stopping) return;
    if (busy_) return wait_for_rest();
    resting_ = false;
    ::malloc_trim(0);
    kernel::release_clean_pages();
    kernel::release_unused_stack();
  });
}

void ServerCore::stop() {
  if (std::exchange(stopping, true)) return;
  error_code ignored;
  for (const auto& door : doors) door->socket.close(ignored);
  for (const auto& set : signals_) set->cancel(ignored);
  sweeper_.cancel();
  rest_.cancel();
  std::vector<std::shared_ptr<Connection>> all;
  for (Connection* connection : connections) all.push_back(connection->shared_from_this());
  for (const auto& connection : all) connection->abort();
  if (connections.empty()) return;
  drain_.expires_after(options.drain_time);
  drain_.async_wait([this](const error_code& error) {
    if (!error) loop.stop();
  });
}

Server::Server(Router router, ServerOptions options)
    : core_(std::make_unique<ServerCore>(std::move(router), std::move(options))) {}

Server::~Server() = default;

void Server::use_tls(const TlsFiles& files) { core_->tls.emplace(files); }
void Server::listen(Listener listener) { core_->open_door(std::move(listener)); }

void Server::on_signals(const std::vector<int>& signals, std::function<void(int)> callback) {
  core_->watch(signals, std::move(callback));
}

void Server::run() {
  core_->rest_later();  // starting was work, too
  core_->loop.run();
}

void Server::stop() {
  boost::asio::post(core_->loop, [core = core_.get()] { core->stop(); });
}

std::size_t Server::connections() const { return core_->connection_count; }

}  // namespace bryo::api

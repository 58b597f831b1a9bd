// What the connections of one server share. Event loop only. Private to the server (brings Asio).
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <unordered_set>
#include <vector>

#include "api/server.hpp"
#include "api/tls_context.hpp"
#include "base/worker_pool.hpp"

namespace bryo::api {

class Connection;

class ServerCore {
 public:
  ServerCore(Router routes, ServerOptions settings);

  // Declared first, destroyed last: everything below may post to it.
  boost::asio::io_context loop{1};
  const Router router;
  const ServerOptions options;
  std::optional<TlsContext> tls;
  const std::string common_headers;
  bool stopping = false;

  struct Door {
    Listener listener;
    boost::asio::posix::stream_descriptor socket;
  };
  std::vector<std::unique_ptr<Door>> doors;
  std::unordered_set<Connection*> connections;  // each removes itself when it ends
  std::atomic<std::size_t> connection_count = 0;

  void open_door(Listener listener);
  void watch(const std::vector<int>& signals, std::function<void(int)> callback);
  void forget(Connection* connection);
  void stop();
  // Some connection's time is up then.
  void sweep_by(std::chrono::steady_clock::time_point when);
  // Something was done just now: once nothing more is, memory is given back.
  void rest_later();

 private:
  boost::asio::awaitable<void> accept_all(Door& door);
  void accept_one(Door& door, UniqueFd socket);
  void make_room();
  void sweep();
  void wait_for_rest();

  boost::asio::steady_timer sweeper_{loop};
  std::chrono::steady_clock::time_point next_sweep_ = std::chrono::steady_clock::time_point::max();
  boost::asio::steady_timer rest_{loop};
  bool resting_ = false;
  bool busy_ = false;                      // since the timer was set
  boost::asio::steady_timer drain_{loop};  // after stop(): for handlers to return
  std::vector<std::unique_ptr<boost::asio::signal_set>> signals_;

 public:
  // They wait for the handlers that still run. `clients`: for what goes at the pace of a client; those who do not read,
  // or send, keep only each other waiting.
  WorkerPool clients;
  WorkerPool pool;
  // Destroyed first: a connection that outlives all this (in the loop's last handlers) has nobody to say goodbye to.
  const std::shared_ptr<ServerCore*> alive = std::make_shared<ServerCore*>(this);
};

}  // namespace bryo::api

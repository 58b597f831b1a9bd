// The HTTP server: one event loop thread for all connections, a pool of threads for handlers that block.
//
// Construct, add listeners, then run() until stop(). Every limit has a default that suits the engine; tests shorten
// them. Nothing here knows Docker.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/message_parser.hpp"
#include "api/router.hpp"
#include "base/unique_fd.hpp"

namespace bryo::api {

struct TlsFiles {
  std::string authority;
  std::string certificate;
  std::string key;
  bool verify_clients = false;
};

// A socket that listens, and what is true of all who connect to it.
struct Listener {
  UniqueFd socket;
  std::string name;    // "/run/bryo/bryo.sock", "127.0.0.1:2375": as logged
  bool local = false;  // a unix socket: the kernel says who calls
  bool tls = false;
};

struct ServerOptions {
  MessageLimits limits;
  std::chrono::milliseconds head_time = std::chrono::seconds(30);    // from its first byte (or accept) to its end
  std::chrono::milliseconds body_time = std::chrono::seconds(120);   // of a body taken whole
  std::chrono::milliseconds write_time = std::chrono::seconds(120);  // of a reply given whole
  std::chrono::milliseconds idle_time = std::chrono::seconds(300);   // between requests
  std::chrono::milliseconds linger_time = std::chrono::seconds(2);   // for a client to read the last reply
  std::chrono::milliseconds drain_time = std::chrono::seconds(10);   // after stop(), for handlers to return
  std::size_t max_connections = 4096;  // above it the connection that has waited longest for a request is closed
  std::size_t max_threads = 256;
  std::vector<std::string> allowed_hosts;  // names a TCP client may put into Host, besides addresses and our own
  bool experimental = false;
};

class ServerCore;

class Server {
 public:
  Server(Router router, ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Before the first TLS listener. Throws Error naming the bad file.
  void use_tls(const TlsFiles& files);
  void listen(Listener listener);
  // The callback runs on the event loop.
  void on_signals(const std::vector<int>& signals, std::function<void(int)> callback);
  // Serves in the calling thread until stop(); then closes all connections and waits for handlers to return, at most
  // drain_time. connections() then counts those that have not; they still run, and the destructor waits for them.
  void run();
  // From any thread.
  void stop();
  std::size_t connections() const;

 private:
  std::unique_ptr<ServerCore> core_;
};

}  // namespace bryo::api

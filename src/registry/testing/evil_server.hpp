// An HTTP server for tests, on plain sockets, that does what a registry must not do: it lies about lengths, drips, cuts
// connections, and writes down every byte of every request. Header-only; for *_test.cpp alone.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/strings.hpp"
#include "base/unique_fd.hpp"

namespace bryo::registry::testing {

struct SeenRequest {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string raw_head;

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  }
  std::string path() const { return target.substr(0, target.find('?')); }
};

struct Reply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  long claimed_length =
      -1;  // Content-Length to claim in place of the real one; -2: none, the end of the connection ends
  std::size_t cut_after = SIZE_MAX;   // bytes of the body, then the connection is reset
  std::chrono::milliseconds drip{0};  // pause after every byte of the body
  bool silent = false;                // no answer at all
};

class EvilServer {
 public:
  using Handler = std::function<Reply(const SeenRequest&)>;

  explicit EvilServer(Handler handler) : handler_(std::move(handler)) {
    ::signal(SIGPIPE, SIG_IGN);  // both sides hang up at any moment
    listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    struct sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address);
    socklen_t size = sizeof address;
    ::getsockname(listener_.get(), reinterpret_cast<struct sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    ::listen(listener_.get(), 64);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~EvilServer() {
    stopping_ = true;
    acceptor_.join();
    for (auto& thread : connections_) thread.join();
  }
  EvilServer(const EvilServer&) = delete;
  EvilServer& operator=(const EvilServer&) = delete;

  std::uint16_t port() const { return port_; }
  std::string domain() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string url() const { return "http://" + domain(); }
  std::vector<SeenRequest> seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  // All that was ever sent here, TLS greetings too.
  std::string everything() const {
    std::string out;
    for (const auto& request : seen()) out += request.raw_head + request.body;
    return out;
  }
  bool saw_authorization() const {
    for (const auto& request : seen())
      if (!request.header("authorization").empty()) return true;
    return false;
  }

 private:
  void accept_all() {
    while (!stopping_) {
      if (!wait_for(listener_.get(), 50)) continue;
      UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client) continue;
      connections_.emplace_back([this, fd = std::make_shared<UniqueFd>(std::move(client))] { serve(fd->get()); });
    }
  }

  static bool wait_for(int fd, int milliseconds) {
    struct pollfd entry = {fd, POLLIN, 0};
    return ::poll(&entry, 1, milliseconds) > 0;
  }

  bool receive(int fd, std::string& into) {
    while (!stopping_) {
      if (!wait_for(fd, 50)) continue;
      char buffer[65536];
      const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
      if (got <= 0) return false;
      into.append(buffer, static_cast<std::size_t>(got));
      return true;
    }
    return false;
  }

  void serve(int fd) {
    std::string input;
    while (!stopping_) {
      while (input.find("\r\n\r\n") == std::string::npos) {
        if (!input.empty() && (input.front() < 'A' || input.front() > 'Z')) return;  // a TLS greeting
        if (!receive(fd, input)) return;
      }
      SeenRequest request = parse_head(input);
      const auto length = parse_integer<std::size_t>(request.header("content-length")).value_or(0);
      while (input.size() < length)
        if (!receive(fd, input)) return;
      request.body = input.substr(0, length);
      input.erase(0, length);
      {
        const std::lock_guard lock(mutex_);
        seen_.push_back(request);
      }
      if (!send_reply(fd, request, handler_(request))) return;
    }
  }

  static SeenRequest parse_head(std::string& input) {
    SeenRequest request;
    const auto end = input.find("\r\n\r\n");
    request.raw_head = input.substr(0, end);
    input.erase(0, end + 4);
    const auto lines = split(request.raw_head, '\n');
    const auto words = split(trim(lines[0]), ' ');
    request.method = std::string(words[0]);
    request.target = words.size() > 1 ? std::string(words[1]) : "";
    for (std::size_t i = 1; i < lines.size(); ++i)
      if (const auto pair = split_once(trim(lines[i]), ':'))
        request.headers[to_lower(pair->first)] = std::string(trim(pair->second));
    return request;
  }

  bool send_all(int fd, std::string_view bytes) {
    while (!bytes.empty() && !stopping_) {
      const ssize_t put = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (put <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(put));
    }
    return !stopping_;
  }

  bool send_reply(int fd, const SeenRequest& request, const Reply& reply) {
    if (reply.silent) {
      std::string ignored;
      while (receive(fd, ignored)) continue;
      return false;
    }
    std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " X\r\n";
    for (const auto& [name, text] : reply.headers) head += name + ": " + text + "\r\n";
    if (reply.claimed_length != -2)
      head += "Content-Length: " +
              std::to_string(reply.claimed_length == -1 ? static_cast<long>(reply.body.size()) : reply.claimed_length) +
              "\r\n";
    if (!send_all(fd, head + "\r\n")) return false;
    if (request.method == "HEAD") return true;
    if (reply.drip.count() > 0) {
      for (const char byte : reply.body) {
        if (!send_all(fd, {&byte, 1})) return false;
        std::this_thread::sleep_for(reply.drip);
      }
      return false;
    }
    if (!send_all(fd, std::string_view(reply.body).substr(0, reply.cut_after))) return false;
    if (reply.cut_after < reply.body.size()) {
      const struct linger reset = {1, 0};
      // What was sent must arrive before the reset does.
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
      return false;
    }
    return reply.claimed_length == -1;
  }

  Handler handler_;
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread acceptor_;
  std::vector<std::thread> connections_;  // the acceptor's, then the destructor's
  mutable std::mutex mutex_;
  std::vector<SeenRequest> seen_;  // guarded by mutex_
};

}  // namespace bryo::registry::testing

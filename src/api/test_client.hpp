// A raw HTTP client for tests: sends exactly the bytes it is given, reads with a deadline. Test programs only.
#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"

namespace bryo::api {

inline UniqueFd connect_unix(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error("connect " + path + ": " + std::strerror(errno));
  return fd;
}

inline UniqueFd connect_tcp(unsigned short port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error(std::string("connect: ") + std::strerror(errno));
  return fd;
}

class TestClient {
 public:
  explicit TestClient(UniqueFd fd) : fd_(std::move(fd)) {}

  // false when the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void half_close() { ::shutdown(fd_.get(), SHUT_WR); }
  void close() { fd_.reset(); }

  // Until `what` has been received (and is left at the end of received()); false at end of file or after `ms`.
  bool read_until(std::string_view what, int ms = 10000) {
    while (received_.find(what) == std::string::npos)
      if (!read_some(ms)) return false;
    return true;
  }
  // Everything until the server closes; throws when it does not.
  std::string read_to_end(int ms = 10000) {
    while (read_some(ms)) {
    }
    if (!at_end_) throw std::runtime_error("the server did not close; received: " + received_);
    return received_;
  }
  // One reply with Content-Length, taken off received().
  std::string read_reply() {
    if (!read_until("\r\n\r\n")) throw std::runtime_error("no reply; received: " + received_);
    const std::size_t head = received_.find("\r\n\r\n") + 4;
    const std::size_t at = received_.find("Content-Length: ");
    const std::size_t length = at < head ? std::strtoul(received_.c_str() + at + 16, nullptr, 10) : 0;
    while (received_.size() < head + length)
      if (!read_some(10000)) throw std::runtime_error("reply cut short: " + received_);
    std::string reply = received_.substr(0, head + length);
    received_.erase(0, head + length);
    return reply;
  }
  // How many bytes have arrived and are not read yet; waits for the first.
  int waiting(int ms = 10000) const {
    pollfd entry{fd_.get(), POLLIN, 0};
    int count = 0;
    if (::poll(&entry, 1, ms) == 1) ::ioctl(fd_.get(), FIONREAD, &count);
    return count;
  }
  const std::string& received() const { return received_; }
  bool at_end() const { return at_end_; }
  int fd() const { return fd_.get(); }

 private:
  bool read_some(int ms) {
    pollfd entry{fd_.get(), POLLIN, 0};
    if (::poll(&entry, 1, ms) != 1) return false;
    char buffer[65536];
    const ssize_t got = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    at_end_ = got <= 0;
    if (at_end_) return false;
    received_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }

  UniqueFd fd_;
  std::string received_;
  bool at_end_ = false;
};

}  // namespace bryo::api

// A Server on a temporary unix socket, running in a thread of its own. Test programs only.
#pragma once

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "api/server.hpp"
#include "api/test_client.hpp"

namespace bryo::api {

class TestDirectory {
 public:
  TestDirectory() {
    char name[] = "/tmp/bryo-api-test-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TestDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class TestServer {
 public:
  TestServer(Router router, ServerOptions options) : server_(std::move(router), std::move(options)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = directory_.path() + "/s";
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(fd.get(), 4096) != 0)
      throw std::runtime_error("cannot listen on " + path);
    server_.listen({std::move(fd), path, true, false});
  }
  ~TestServer() { stop(); }
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  unsigned short listen_tcp(bool tls) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(fd.get(), 64) != 0 ||
        ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
      throw std::runtime_error("cannot listen on loopback");
    server_.listen({std::move(fd), "127.0.0.1", false, tls});
    return ntohs(address.sin_port);
  }
  void start() {
    thread_ = std::thread([this] { server_.run(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
    if (server_.connections() != 0) std::abort();  // a connection or handler was forgotten
  }
  TestClient connect() const { return TestClient(connect_unix(directory_.path() + "/s")); }
  Server& server() { return server_; }
  const std::string& directory() const { return directory_.path(); }

 private:
  TestDirectory directory_;
  Server server_;
  std::thread thread_;
};

}  // namespace bryo::api

// Debian's docker-registry (distribution) on a free loopback port, with its files in a directory of its own; ended and
// removed with the object. Header-only; for *_test.cpp alone.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.hpp"

extern char** environ;

namespace bryo::registry::testing {

// -1 when it could not be started.
inline pid_t spawn(const std::vector<std::string>& words, const std::string& output) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t child = -1;
  if (::posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ) != 0) child = -1;
  posix_spawn_file_actions_destroy(&actions);
  return child;
}

// Exit status; 127 when it could not be started.
inline int run(const std::vector<std::string>& words, const std::string& output = "/dev/null") {
  const pid_t child = spawn(words, output);
  int status = 127 << 8;
  if (child > 0) ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

inline bool is_installed(const std::string& program) {
  for (const char* directory : {"/usr/bin/", "/bin/", "/usr/local/bin/"})
    if (::access((directory + program).c_str(), X_OK) == 0) return true;
  return false;
}

class LocalRegistry {
 public:
  static bool available() { return is_installed("docker-registry"); }

  LocalRegistry() {
    std::string pattern = "/tmp/bryo-registry-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    for (int attempt = 0; attempt < 5 && child_ <= 0; ++attempt) start();
  }
  ~LocalRegistry() {
    stop();
    std::filesystem::remove_all(directory_);
  }
  LocalRegistry(const LocalRegistry&) = delete;
  LocalRegistry& operator=(const LocalRegistry&) = delete;

  bool running() const { return child_ > 0; }
  std::string domain() const { return "127.0.0.1:" + std::to_string(port_); }
  const std::string& directory() const { return directory_; }
  void stop() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    child_ = -1;
  }

 private:
  static struct sockaddr_in loopback(std::uint16_t port) {
    struct sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  static std::uint16_t free_port() {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto address = loopback(0);
    ::bind(fd.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address);
    socklen_t size = sizeof address;
    ::getsockname(fd.get(), reinterpret_cast<struct sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
  }

  void start() {
    port_ = free_port();
    std::ofstream(directory_ + "/config.yml")
        << "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: " << directory_
        << "/data}, delete: {enabled: true}}\nhttp: {addr: \"" << domain() << "\"}\n";
    child_ = spawn({"docker-registry", "serve", directory_ + "/config.yml"}, directory_ + "/log");
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (child_ > 0 && std::chrono::steady_clock::now() < deadline) {
      const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      auto address = loopback(port_);
      if (::connect(fd.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address) == 0) return;
      if (::waitpid(child_, nullptr, WNOHANG) == child_) child_ = -1;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    stop();
  }

  std::string directory_;
  std::uint16_t port_ = 0;
  pid_t child_ = -1;
};

}  // namespace bryo::registry::testing

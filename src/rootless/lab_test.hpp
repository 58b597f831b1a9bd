// For tests of the user-mode network against the kernel. Each test body runs in a process of its own: a private "host"
// (network namespace) with another host on a cable, and in it an engine with its network namespace, as root or as an
// ordinary user in a user namespace. Needs root to set that up; nothing leaves the process.
#pragma once

#include <grp.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "kernel/netlink_links.hpp"
#include "kernel/netns.hpp"
#include "kernel/sockets.hpp"
#include "kernel/start_program.hpp"
#include "rootless/user_network.hpp"

namespace bryo::rootless::lab {

using kernel::IpAddress;
using kernel::IpPrefix;

inline constexpr int kPatience = 5000;  // ms, for what must happen
inline constexpr int kShort = 400;      // ms, for what must not
inline constexpr const char* kHost = "198.51.100.1";
inline constexpr const char* kOther = "198.51.100.2";
inline constexpr const char* kHost6 = "2001:db8:100::1";
inline constexpr const char* kOther6 = "2001:db8:100::2";
inline constexpr uid_t kUser = 54321;

inline bool readable(int fd, int milliseconds = kPatience) {
  pollfd wait{fd, POLLIN, 0};
  return ::poll(&wait, 1, milliseconds) == 1;
}

inline void write_file(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
inline std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A question and the answer of such a server (RFC 1035): it says who asked it, and is otherwise the question.
inline const std::string kQuestion("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01", 17);

class NameServer {
 public:
  explicit NameServer(const std::string& address)
      : name_(address), udp_(kernel::bind_udp(IpAddress::parse(address), 53)) {}
  ~NameServer() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;
  void run() {
    thread_ = std::thread([this] { serve(); });
  }
  std::atomic<bool> silent{false};

 private:
  void serve() {
    char buffer[4096];
    while (!stopping_) {
      if (!readable(udp_.get(), 50)) continue;
      const auto got = kernel::receive_datagram(udp_.get(), buffer, sizeof buffer);
      if (!got || silent) continue;
      buffer[2] = static_cast<char>(buffer[2] | 0x80);
      const std::string answer = std::string(buffer, got->size) + name_;
      kernel::send_datagram(udp_.get(), answer.data(), answer.size(), got->from, got->port);
    }
  }
  std::string name_;
  UniqueFd udp_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// Answers every datagram and every TCP connection's first bytes with "<peer's address>|<what came>".
class EchoServer {
 public:
  enum class Only { both, tcp };
  EchoServer(const std::string& address, std::uint16_t port, Only only = Only::both)
      : tcp_(kernel::listen_tcp(IpAddress::parse(address), port)),
        udp_(kernel::bind_udp(IpAddress::parse(address), only == Only::both ? port : 0)) {}
  ~EchoServer() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  void run() {
    thread_ = std::thread([this] { serve(); });
  }
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;

 private:
  static std::string peer_of(int fd) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    ::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size);
    if (storage.ss_family == AF_INET6)
      return IpAddress::from_bytes(kernel::Family::v6, &reinterpret_cast<sockaddr_in6*>(&storage)->sin6_addr).str();
    return IpAddress::from_bytes(kernel::Family::v4, &reinterpret_cast<sockaddr_in*>(&storage)->sin_addr).str();
  }
  void serve() {
    char buffer[65536];
    while (!stopping_) {
      pollfd wait[2] = {{tcp_.get(), POLLIN, 0}, {udp_.get(), POLLIN, 0}};
      ::poll(wait, 2, 50);
      if (wait[0].revents != 0) {
        if (auto fd = kernel::accept_tcp(tcp_.get())) {
          if (!readable(fd->get())) continue;
          const ssize_t got = ::recv(fd->get(), buffer, sizeof buffer, 0);
          const std::string answer =
              peer_of(fd->get()) + "|" + std::string(buffer, got > 0 ? static_cast<std::size_t>(got) : 0);
          ::send(fd->get(), answer.data(), answer.size(), MSG_NOSIGNAL);
        }
      }
      if (wait[1].revents != 0) {
        if (const auto got = kernel::receive_datagram(udp_.get(), buffer, sizeof buffer)) {
          const std::string answer = got->from.str() + "|" + std::string(buffer, got->size);
          kernel::send_datagram(udp_.get(), answer.data(), answer.size(), got->from, got->port);
        }
      }
    }
  }
  UniqueFd tcp_, udp_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// "refused", "timeout", or what the server answered.
inline std::string ask_tcp(const std::string& address, std::uint16_t port, const std::string& text = "hello",
                           int milliseconds = kPatience) {
  try {
    const UniqueFd fd = kernel::start_connect_tcp(IpAddress::parse(address), port);
    pollfd wait{fd.get(), POLLOUT, 0};
    if (::poll(&wait, 1, milliseconds) != 1) return "timeout";
    kernel::finish_connect(fd.get());
    if (::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) return std::strerror(errno);
    char buffer[4096];
    if (!readable(fd.get(), milliseconds)) return "timeout";
    const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
    return got < 0 ? std::strerror(errno) : std::string(buffer, static_cast<std::size_t>(got));
  } catch (const Error& error) {
    return error.number() == ECONNREFUSED ? "refused" : error.message();
  }
}

inline std::string ask_udp(const std::string& address, std::uint16_t port, const std::string& text = "hello",
                           int milliseconds = kPatience) {
  const UniqueFd fd = kernel::connect_udp(IpAddress::parse(address), port);
  if (::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) return std::strerror(errno);
  if (!readable(fd.get(), milliseconds)) return "timeout";
  std::string buffer(65536, '\0');
  const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
  if (got < 0) return errno == ECONNREFUSED ? "refused" : std::strerror(errno);
  buffer.resize(static_cast<std::size_t>(got));
  return buffer;
}

class Lab {
 public:
  explicit Lab(bool as_user) {
    prepare_host();
    if (as_user) become_user();
    for (EchoServer* server : {other_v4.get(), other_v6.get(), other_tcp53.get()}) server->run();
    for (NameServer* server : {resolver.get(), second_resolver.get(), other_dns.get(), other_dns6.get()}) server->run();
    outside = std::make_unique<kernel::NetnsThread>();
    netns = kernel::make_netns();
    in([] {
      kernel::NetlinkSocket socket(NETLINK_ROUTE);
      kernel::LinkChanges().up(1).execute(socket, "loopback");
    });
    options.state_directory = directory + "/state";
    options.resolv_conf = directory + "/resolv.conf";
    ::mkdir(options.state_directory.c_str(), 0700);
  }
  UserNetwork start() { return UserNetwork::start(options, netns.get(), *outside); }
  // In the namespace that has no other way out.
  void in(const std::function<void()>& work) const { kernel::run_in_netns(netns.get(), work); }
  std::string tcp(const std::string& address, std::uint16_t port, const std::string& text = "hello") const {
    std::string answer;
    in([&] { answer = ask_tcp(address, port, text); });
    return answer;
  }
  std::string udp(const std::string& address, std::uint16_t port, const std::string& text = "hello",
                  int milliseconds = kPatience) const {
    std::string answer;
    in([&] { answer = ask_udp(address, port, text, milliseconds); });
    return answer;
  }
  // Which name server answers at this address; "timeout" when none does.
  std::string who_answers(const std::string& dns, int milliseconds = kPatience) const {
    const std::string answer = udp(dns, 53, kQuestion, milliseconds);
    return answer.size() > kQuestion.size() ? answer.substr(kQuestion.size()) : answer;
  }
  // A server in the host's namespace.
  std::unique_ptr<EchoServer> serve(const std::string& address, std::uint16_t port) const {
    std::unique_ptr<EchoServer> server;
    outside->run([&] { server = std::make_unique<EchoServer>(address, port); });
    server->run();
    return server;
  }
  bool has_interface() const {
    bool found = false;
    in([&] {
      kernel::NetlinkSocket socket(NETLINK_ROUTE);
      found = kernel::find_link(socket, options.interface).has_value();
    });
    return found;
  }

  std::string directory;
  UserNetworkOptions options;
  std::unique_ptr<kernel::NetnsThread> outside;
  UniqueFd netns;
  static constexpr std::uint16_t kPort = 8080;
  std::unique_ptr<EchoServer> other_v4, other_v6, other_tcp53;
  std::unique_ptr<NameServer> resolver, second_resolver, other_dns, other_dns6;

 private:
  static void must(bool done, const char* what) {
    if (!done) fail_errno("{}", what);
  }

  void prepare_host() {
    must(::unshare(CLONE_NEWNET | CLONE_NEWNS) == 0, "unshare");
    must(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "private mounts");
    must(::mount("tmpfs", "/mnt", "tmpfs", 0, "mode=0755") == 0, "tmpfs");
    directory = "/mnt/lab";
    must(::mkdir(directory.c_str(), 0777) == 0 && ::chmod(directory.c_str(), 0777) == 0, "mkdir");
    // As distributions have it, and the test machine has not.
    must(::mknod("/mnt/tun", S_IFCHR | 0666, makedev(10, 200)) == 0 && ::chmod("/mnt/tun", 0666) == 0, "mknod tun");
    must(::mount("/mnt/tun", "/dev/net/tun", nullptr, MS_BIND, nullptr) == 0, "bind tun");
    write_file(directory + "/resolv.conf", "nameserver 127.0.0.53\n");
    ::chmod((directory + "/resolv.conf").c_str(), 0666);
    // The programs of others look there.
    must(::mount((directory + "/resolv.conf").c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr) == 0,
         "bind resolv.conf");
    const UniqueFd other = kernel::make_netns();
    kernel::NetlinkSocket socket(NETLINK_ROUTE);
    kernel::VethSpec cable;
    cable.host_name = "lan0";
    cable.peer_name = "eth0";
    cable.peer_netns = other.get();
    cable.peer_mac = {2, 0, 0, 0, 0, 2};
    kernel::create_veth(socket, cable);
    const int lan = kernel::find_link(socket, "lan0")->index;
    kernel::set_net_sysctl("ipv4/ping_group_range", "0 2147483647");
    kernel::LinkChanges()
        .up(1)
        .add_address(lan, IpPrefix::parse(std::string(kHost) + "/24"))
        .add_address(lan, IpPrefix::parse(std::string(kHost6) + "/64"))
        .default_route(lan, IpAddress::parse(kOther))
        .default_route(lan, IpAddress::parse(kOther6))
        .execute(socket, "host");
    kernel::run_in_netns(other.get(), [&] {
      kernel::NetlinkSocket inside(NETLINK_ROUTE);
      const int eth0 = kernel::find_link(inside, "eth0")->index;
      kernel::LinkChanges()
          .up(1)
          .up(eth0)
          .add_address(eth0, IpPrefix::parse(std::string(kOther) + "/24"))
          .add_address(eth0, IpPrefix::parse(std::string(kOther6) + "/64"))
          .execute(inside, "other host");
      kernel::wait_operational(inside, "eth0", 10000);
    });
    kernel::wait_operational(socket, "lan0", 10000);
    kernel::run_in_netns(other.get(), [&] {
      other_v4 = std::make_unique<EchoServer>(kOther, kPort);
      other_v6 = std::make_unique<EchoServer>(kOther6, kPort);
      other_dns = std::make_unique<NameServer>(kOther);
      other_tcp53 = std::make_unique<EchoServer>(kOther, 53, EchoServer::Only::tcp);
      other_dns6 = std::make_unique<NameServer>(kOther6);
    });
    resolver = std::make_unique<NameServer>("127.0.0.53");
    second_resolver = std::make_unique<NameServer>("127.0.0.54");
  }

  // Root in a user namespace that knows one uid and one gid: the least that anybody can have.
  static void become_user() {
    must(::setgroups(0, nullptr) == 0 && ::setresgid(kUser, kUser, kUser) == 0 && ::setresuid(kUser, kUser, kUser) == 0,
         "become a user");
    must(::prctl(PR_SET_DUMPABLE, 1) == 0, "dumpable");
    // A joined thread may not be gone from the kernel's list yet.
    for (int i = 0; ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0; ++i) {
      must(errno == EINVAL && i < 1000, "unshare the user namespace");
      ::usleep(1000);
    }
    write_file("/proc/self/setgroups", "deny");
    write_file("/proc/self/uid_map", "0 " + std::to_string(kUser) + " 1");
    write_file("/proc/self/gid_map", "0 " + std::to_string(kUser) + " 1");
    must(::geteuid() == 0, "map the uid");
  }
};

// In a process of its own, which takes all it made with it.
inline void in_process(bool as_user, const std::function<void(Lab&)>& body) {
#if defined(__SANITIZE_THREAD__)
  // With the first thread of a process, and after fork(), the sanitizer starts one of its own, and a process with
  // threads enters no user namespace. So the first thread is started here, and this fork is one that it does not see.
  std::thread([] {}).join();
  const pid_t child = ::_Fork();
#else
  const pid_t child = ::fork();
#endif
  if (child == 0) {
    ::setpgid(0, 0);
    int status = 1;
    try {
      Lab lab(as_user);
      body(lab);
      status = ::testing::Test::HasFailure() ? 1 : 0;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    std::fflush(nullptr);
    ::_exit(status);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ::kill(-child, SIGKILL);
  EXPECT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0) << "failed in the lab";
}

}  // namespace bryo::rootless::lab

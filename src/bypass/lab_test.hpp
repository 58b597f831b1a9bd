// The helper against the kernel: a "host" (network namespace of the test), a "container" with a way out that leads to
// nobody, and programs in it whose connect() is held. What they reach, they reach through the host's network.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "bypass/journal.hpp"
#include "bypass/link.hpp"
#include "bypass/server.hpp"
#include "kernel/netlink_links.hpp"
#include "kernel/netns.hpp"
#include "kernel/raw.hpp"
#include "kernel/sockets.hpp"

namespace bryo::bypass {
using kernel::IpAddress;
using kernel::IpPrefix;

// The host's own address, on its lo: as good as any outside address.
inline constexpr const char* kHost = "198.51.100.1";
inline constexpr const char* kHost6 = "2001:db8:1::1";
// Routed into a link where nobody answers.
inline constexpr const char* kNobody = "203.0.113.9";
inline constexpr std::uint16_t kPort = 8000;
inline constexpr std::uint16_t kClosed = 8001;

inline std::string name(int error) { return error == 0 ? "0" : ::strerrorname_np(error); }

struct Target {
  sockaddr_storage storage{};
  socklen_t size = 0;
  Target(const std::string& host, std::uint16_t port) {
    if (host.find(':') == std::string::npos) {
      sockaddr_in v4{AF_INET, htons(port), {}, {}};
      inet_pton(AF_INET, host.c_str(), &v4.sin_addr);
      std::memcpy(&storage, &v4, size = sizeof v4);
    } else {
      sockaddr_in6 v6{AF_INET6, htons(port), 0, {}, 0};
      inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr);
      std::memcpy(&storage, &v6, size = sizeof v6);
    }
  }
};

inline int dial(int fd, const std::string& host, std::uint16_t port = kPort) {
  const Target to(host, port);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&to.storage), to.size) == 0 ? 0 : errno;
}

inline int tcp(int flags = 0, int family = AF_INET) { return ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0); }

inline int pending(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

inline std::string local(int fd) {
  sockaddr_in6 address{};  // in IPv4 addresses the address is where IPv6 has its flow
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  char text[INET6_ADDRSTRLEN] = "";
  const bool six = address.sin6_family == AF_INET6;
  inet_ntop(address.sin6_family,
            six ? static_cast<void*>(&address.sin6_addr) : static_cast<void*>(&address.sin6_flowinfo), text,
            sizeof text);
  return text;
}

// The operands of + are evaluated in any order.
inline std::string outcome(int error, int fd) { return name(error) + " " + local(fd); }

inline int writable(int fd, int milliseconds = 2000) {
  pollfd wait{fd, POLLOUT, 0};
  return ::poll(&wait, 1, milliseconds);
}

inline void set_timeout(int fd, int milliseconds) {
  const timeval value{0, milliseconds * 1000};
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof value);
}

inline int load_filter() {
  const sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_create1, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{5, const_cast<sock_filter*>(program)};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return static_cast<int>(kernel::raw::call(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                            SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
                                            &filter));
}

// With the parameter the helper may attach filters; without it, only on kernels that let everybody.
class Bypass : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || ::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "needs root: network namespaces";
    kernel::NetlinkSocket here(NETLINK_ROUTE);
    const int there = make_link(here, "out0", container_.get());
    kernel::LinkChanges()
        .up(1)
        .up(there)
        .add_address(there, IpPrefix::parse(std::string(kHost) + "/24"))
        .add_address(there, IpPrefix::parse(std::string(kHost6) + "/64"))
        .add_address(there, IpPrefix::parse("203.0.113.1/24"))
        .execute(here, "the host");
    {
      const kernel::NetnsVisit visit(container_.get());
      kernel::NetlinkSocket inside(NETLINK_ROUTE);
      const int index = kernel::find_link(inside, "eth0")->index;
      kernel::LinkChanges()
          .up(1)
          .up(index)
          .add_address(index, IpPrefix::parse("10.77.0.2/24"))
          .add_address(index, IpPrefix::parse("fd77::2/64"))
          .default_route(index, IpAddress::parse("10.77.0.1"))
          .default_route(index, IpAddress::parse("fd77::1"))
          .execute(inside, "the container");
    }
    server_ = kernel::listen_tcp(IpAddress::parse(kHost), kPort);
    server6_ = kernel::listen_tcp(IpAddress::parse(kHost6), kPort);
    loopback_ = kernel::listen_tcp(IpAddress::parse("127.0.0.1"), kPort);
    loopback6_ = kernel::listen_tcp(IpAddress::parse("::1"), kPort);
    start_helper(false);
  }

  void TearDown() override {
    link_.ours.reset();
    end_helper();
  }

  // eth0 in the container, and a link of the host's that leads nowhere; returns its index.
  static int make_link(kernel::NetlinkSocket& here, const std::string& own, int netns) {
    kernel::create_bridge(here, {"br0", "", {2, 0, 0, 0, 0, 9}, 1500});
    kernel::VethSpec veth;
    veth.host_name = own;
    veth.bridge = kernel::find_link(here, "br0")->index;
    veth.peer_name = "eth0";
    veth.peer_netns = netns;
    veth.peer_mac = {2, 0, 0, 0, 0, 1};
    veth.mtu = 1500;
    kernel::create_veth(here, veth);
    return veth.bridge;
  }

  void start_helper(bool with_udp) {
    end_helper();
    link_ = Link::make();
    helper_ = ::fork();
    if (helper_ == 0) {
      link_.ours.reset();
      ::_exit(run_server(std::move(link_.helper), GetParam() ? std::uint64_t{1} << CAP_NET_ADMIN : 0));
    }
    link_.helper.reset();
    Networks networks;
    networks.with_udp = with_udp;
    const auto open_in = [](int netns) {
      const kernel::NetnsVisit visit(netns);
      return RouteSockets::open_here();
    };
    networks.container = open_in(container_.get());
    networks.engine = open_in(engine_.get());
    send_networks(link_.ours.get(), networks);
  }

  void end_helper() {
    if (helper_ <= 0) return;
    link_.ours.reset();
    ::kill(helper_, SIGKILL);
    ::waitpid(helper_, nullptr, 0);
    helper_ = 0;
  }

  struct Program {
    pid_t pid = 0;
    UniqueFd output;

    std::string finish() {
      std::string text;
      char piece[256];
      for (ssize_t size = 0; (size = ::read(output.get(), piece, sizeof piece)) > 0;)
        text.append(piece, static_cast<std::size_t>(size));
      int status = 0;
      ::waitpid(pid, &status, 0);
      if (WIFSIGNALED(status)) text += "signal " + std::to_string(WTERMSIG(status));
      return text;
    }
  };

  // Begins `program` in the container; what it returns is its output.
  Program begin(const std::function<std::string()>& program) {
    UniqueFd listener;
    Program out = begin(program, listener);
    send_listener(link_.ours.get(), listener.get());
    return out;
  }

  // The same, but `listener` is the caller's to serve.
  Program begin(const std::function<std::string()>& program, UniqueFd& listener) {
    int output[2];
    int gate[2];
    EXPECT_EQ(::pipe2(output, O_CLOEXEC), 0);
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, gate), 0);
    Program out;
    out.pid = ::fork();
    if (out.pid == 0) {
      ::setns(container_.get(), CLONE_NEWNET);
      const int own = load_filter();
      char go = 0;
      if (::write(gate[1], &own, sizeof own) < 0 || ::read(gate[1], &go, 1) < 0) ::_exit(3);
      ::close(own);
      const std::string text = program();
      ::_exit(::write(output[1], text.data(), text.size()) < 0 ? 3 : 0);
    }
    ::close(output[1]);
    ::close(gate[1]);
    out.output.reset(output[0]);
    int number = -1;
    EXPECT_EQ(::read(gate[0], &number, sizeof number), static_cast<ssize_t>(sizeof number));
    const UniqueFd process(kernel::raw::pidfd_open(out.pid));
    listener.reset(kernel::raw::pidfd_getfd(process.get(), number));
    EXPECT_EQ(::write(gate[0], "x", 1), 1);
    ::close(gate[0]);
    return out;
  }

  std::string run(const std::function<std::string()>& program) { return begin(program).finish(); }

  // Whether somebody has come to the host's loopback addresses.
  bool loopback_was_reached() const {
    for (const UniqueFd* listener : {&loopback_, &loopback6_})
      if (kernel::accept_tcp(listener->get())) return true;
    return false;
  }

  UniqueFd container_ = kernel::make_netns();
  UniqueFd engine_ = kernel::make_netns();
  UniqueFd server_, server6_, loopback_, loopback6_;
  Link link_;
  pid_t helper_ = 0;
};

}  // namespace bryo::bypass

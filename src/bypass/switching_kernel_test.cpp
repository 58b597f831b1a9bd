// The helper against the kernel: a "host" (network namespace of the test), a "container" with a way out that leads to
// nobody, and programs in it whose connect() is held. What they reach, they reach through the host's network.
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
namespace {

using kernel::IpAddress;
using kernel::IpPrefix;

// The host's own address, on its lo: as good as any outside address.
constexpr const char* kHost = "198.51.100.1";
constexpr const char* kHost6 = "2001:db8:1::1";
// Routed into a link where nobody answers.
constexpr const char* kNobody = "203.0.113.9";
constexpr std::uint16_t kPort = 8000;
constexpr std::uint16_t kClosed = 8001;

std::string name(int error) { return error == 0 ? "0" : ::strerrorname_np(error); }

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

int dial(int fd, const std::string& host, std::uint16_t port = kPort) {
  const Target to(host, port);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&to.storage), to.size) == 0 ? 0 : errno;
}

int tcp(int flags = 0, int family = AF_INET) { return ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0); }

int pending(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

std::string local(int fd) {
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
std::string outcome(int error, int fd) { return name(error) + " " + local(fd); }

int writable(int fd, int milliseconds = 2000) {
  pollfd wait{fd, POLLOUT, 0};
  return ::poll(&wait, 1, milliseconds);
}

void set_timeout(int fd, int milliseconds) {
  const timeval value{0, milliseconds * 1000};
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof value);
}

int load_filter() {
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

TEST_P(Bypass, BlockingConnectEndsInTheHostsNetwork) {
  EXPECT_EQ(run([] {
              const int fd = tcp();
              const std::string end = outcome(dial(fd, kHost), fd);
              return end + " " + std::to_string(::fcntl(fd, F_GETFL) & O_NONBLOCK) + " " +
                     std::to_string(::fcntl(fd, F_GETFD));
            }),
            std::string("0 ") + kHost + " 0 1");
  EXPECT_EQ(run([] {
              const int fd = tcp(0, AF_INET6);
              return outcome(dial(fd, kHost6), fd);
            }),
            std::string("0 ") + kHost6);
  EXPECT_EQ(run([] {
              const int fd = tcp(0, AF_INET6);
              return outcome(dial(fd, std::string("::ffff:") + kHost), fd);
            }),
            std::string("0 ::ffff:") + kHost);
}

// As the monitor does.
TEST_P(Bypass, AListenerThatSomebodyElseHoldsTooIsForgotten) {
  std::vector<UniqueFd> held;
  for (int i = 0; i < 5; ++i) {
    UniqueFd listener;
    Program program = begin(
        [] {
          const int fd = tcp();
          return outcome(dial(fd, kHost), fd);
        },
        listener);
    send_listener(link_.ours.get(), listener.get());
    held.push_back(std::move(listener));
    EXPECT_EQ(program.finish(), std::string("0 ") + kHost);
    ::usleep(20'000);  // the helper hears of the end
  }
  EXPECT_EQ(::waitpid(helper_, nullptr, WNOHANG), 0) << "the helper has ended";
}

// A helper that is killed leaves a journal; whoever has the memory, too, settles it.
class AbandonedCall : public Bypass {
 protected:
  void SetUp() override {
    Bypass::SetUp();
    if (IsSkipped()) return;
    program_ = begin(
        [] {
          const int fd = tcp();
          return outcome(dial(fd, "10.77.0.2", kClosed), fd);
        },
        listener_fd_);
    listener_.emplace(std::move(listener_fd_));
    call_ = listener_->receive(helper_journal_.next());
    ASSERT_TRUE(call_.has_value());
  }

  UniqueFd memory_ = Journal::make_memory();
  Journal helper_journal_{memory_};
  Journal heir_{memory_};
  UniqueFd listener_fd_;
  std::optional<kernel::SeccompListener> listener_;
  std::optional<kernel::HeldCall> call_;
  Program program_;
};

TEST_P(AbandonedCall, GoesTheUsualWay) {
  heir_.settle(*listener_);
  EXPECT_EQ(program_.finish(), "ECONNREFUSED 0.0.0.0");
}

TEST_P(AbandonedCall, IsAnsweredWhenItsSocketWasExchanged) {
  const UniqueFd other(tcp());
  helper_journal_.exchanging(other.get(), {false, EHOSTDOWN});
  ASSERT_TRUE(listener_->replace(*call_, other.get(), static_cast<int>(call_->arguments[0]), true));
  heir_.settle(*listener_);
  EXPECT_EQ(program_.finish(), "EHOSTDOWN 0.0.0.0");
}

TEST_P(AbandonedCall, GoesTheUsualWayWhenTheExchangeDidNotHappen) {
  const UniqueFd other(tcp());
  helper_journal_.exchanging(other.get(), {false, EHOSTDOWN});
  heir_.settle(*listener_);
  EXPECT_EQ(program_.finish(), "ECONNREFUSED 0.0.0.0");
}

TEST_P(AbandonedCall, IsNotAnsweredTwice) {
  listener_->refuse(*call_, EHOSTDOWN);
  heir_.settle(*listener_);
  EXPECT_EQ(program_.finish(), "EHOSTDOWN 0.0.0.0");
}

INSTANTIATE_TEST_SUITE_P(Journal, AbandonedCall, ::testing::Values(true));

TEST_P(Bypass, NonBlockingConnectGoesOn) {
  EXPECT_EQ(run([] {
              const int fd = tcp(SOCK_NONBLOCK);
              std::string out = name(dial(fd, kHost));
              out += " " + std::to_string(writable(fd)) + " " + name(pending(fd));
              out += " " + name(dial(fd, kHost));
              return out + " " + outcome(dial(fd, kHost), fd);
            }),
            std::string("EINPROGRESS 1 0 0 EISCONN ") + kHost);
}

TEST_P(Bypass, RefusalsAreTold) {
  EXPECT_EQ(run([] { return name(dial(tcp(), kHost, kClosed)); }), "ECONNREFUSED");
  EXPECT_EQ(run([] {
              const int fd = tcp(SOCK_NONBLOCK);
              const std::string first = name(dial(fd, kHost, kClosed));
              writable(fd);
              return first + " " + name(pending(fd));
            }),
            "EINPROGRESS ECONNREFUSED");
  // As without a bypass: who asks by a second connect() hears the error of the first.
  EXPECT_EQ(run([] {
              const int fd = tcp(SOCK_NONBLOCK);
              const std::string first = name(dial(fd, kHost, kClosed));
              writable(fd);
              return first + " " + name(dial(fd, kHost, kClosed));
            }),
            "EINPROGRESS ECONNREFUSED");
}

TEST_P(Bypass, ASocketThatWasRefusedMayTryAgain) {
  const auto twice = [](int flags) {
    return [flags] {
      const int fd = tcp(flags);
      dial(fd, kHost, kClosed);
      writable(fd);
      pending(fd);
      int error = dial(fd, kHost);
      if (error == ECONNABORTED) error = dial(fd, kHost);  // so says Linux, once, when the error was asked for before
      writable(fd);
      return outcome(error == EINPROGRESS ? pending(fd) : error, fd);
    };
  };
  EXPECT_EQ(run(twice(0)), std::string("0 ") + kHost);
  EXPECT_EQ(run(twice(SOCK_NONBLOCK)), std::string("0 ") + kHost);
}

TEST_P(Bypass, TimeOutsAndSignalsEndTheWait) {
  EXPECT_EQ(run([] {
              const int fd = tcp();
              set_timeout(fd, 200);
              return name(dial(fd, kNobody));
            }),
            "EINPROGRESS");
  EXPECT_EQ(run([] {
              struct sigaction action {};
              action.sa_handler = [](int) {};
              ::sigaction(SIGALRM, &action, nullptr);
              const itimerval once{{0, 0}, {0, 200000}};
              ::setitimer(ITIMER_REAL, &once, nullptr);
              return name(dial(tcp(), kNobody));
            }),
            "EINTR");
  EXPECT_EQ(run([] {
              struct sigaction action {};
              action.sa_handler = [](int) {};
              action.sa_flags = SA_RESTART;
              ::sigaction(SIGALRM, &action, nullptr);
              const itimerval often{{0, 5000}, {0, 5000}};
              ::setitimer(ITIMER_REAL, &often, nullptr);
              std::string out;
              for (int i = 0; i < 50; ++i) {
                const int fd = tcp();
                out += name(dial(fd, kHost)) == "0" && local(fd) == kHost ? "" : "!";
                ::close(fd);
              }
              return out + "done";
            }),
            "done");
}

TEST_P(Bypass, OneSlowConnectionHoldsUpNobody) {
  Program slow = begin([] { return name(dial(tcp(), kNobody)); });
  ::usleep(100000);
  EXPECT_EQ(run([] { return name(dial(tcp(), kHost)); }), "0");
  ::kill(slow.pid, SIGKILL);
  EXPECT_EQ(slow.finish(), "signal 9");
  EXPECT_EQ(run([] { return name(dial(tcp(), kHost)); }), "0") << "and the helper lives on";
}

TEST_P(Bypass, OptionsComeAlong) {
  EXPECT_EQ(run([] {
              const int fd = tcp();
              const std::array<std::array<int, 3>, 6> options{{{SOL_SOCKET, SO_KEEPALIVE, 1},
                                                               {SOL_SOCKET, SO_RCVBUF, 50000},
                                                               {IPPROTO_TCP, TCP_NODELAY, 1},
                                                               {IPPROTO_TCP, TCP_KEEPIDLE, 77},
                                                               {IPPROTO_TCP, TCP_USER_TIMEOUT, 9000},
                                                               {IPPROTO_IP, IP_TOS, 0x10}}};
              for (const auto& o : options) ::setsockopt(fd, o[0], o[1], &o[2], sizeof(int));
              std::string out = outcome(dial(fd, kHost), fd);
              for (const auto& o : options) {
                int value = 0;
                socklen_t size = sizeof value;
                ::getsockopt(fd, o[0], o[1], &value, &size);
                out += " " + std::to_string(o[1] == SO_RCVBUF && o[0] == SOL_SOCKET ? value / 2 : value);
              }
              return out;
            }),
            std::string("0 ") + kHost + " 1 50000 1 77 9000 16");
}

// Where does a connection go? The container's own way leads to nobody, and takes its time.
std::string way_of(const std::function<void(int)>& prepare, const char* host = kHost) {
  const int fd = tcp(SOCK_NONBLOCK);
  prepare(fd);
  int error = dial(fd, host);
  if (error == EINPROGRESS && writable(fd, 200) == 1) error = pending(fd);
  return outcome(error, fd);
}

TEST_P(Bypass, UnusualSocketsGoTheContainersWay) {
  const std::string stack = "EINPROGRESS 10.77.0.2";
  EXPECT_EQ(run([] {
              return way_of([](int fd) {
                const Target any("0.0.0.0", 0);
                ::bind(fd, reinterpret_cast<const sockaddr*>(&any.storage), any.size);
              });
            }),
            stack);
  EXPECT_EQ(run([] {
              return way_of([](int fd) {
                const int on = 1;
                ::setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on);
              });
            }),
            stack);
  EXPECT_EQ(run([] {
              return way_of([](int fd) {
                const sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)};
                const sock_fprog filter{1, const_cast<sock_filter*>(all)};
                ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
              });
            }),
            stack);
  EXPECT_EQ(run([] {
              return way_of([](int fd) {
                epoll_event event{EPOLLOUT, {}};
                ::epoll_ctl(::epoll_create1(EPOLL_CLOEXEC), EPOLL_CTL_ADD, fd, &event);
              });
            }),
            stack)
      << "an epoll waits for it";
  EXPECT_EQ(run([] {
              return way_of([](int) {
                epoll_event event{EPOLLOUT, {}};
                ::epoll_ctl(::epoll_create1(EPOLL_CLOEXEC), EPOLL_CTL_ADD, tcp(), &event);
              });
            }),
            std::string("0 ") + kHost)
      << "an epoll waits for another one";
}

TEST_P(Bypass, WhatIsNearGoesTheContainersWay) {
  EXPECT_EQ(run([] { return way_of([](int) {}, "10.77.0.9"); }), "EINPROGRESS 10.77.0.2");
  // Another network of the engine's: its bridge is in the namespace between.
  {
    const kernel::NetnsVisit visit(engine_.get());
    kernel::NetlinkSocket socket(NETLINK_ROUTE);
    kernel::LinkChanges().up(1).add_address(1, IpPrefix::parse("198.51.100.7/24")).execute(socket, "a bridge");
  }
  EXPECT_EQ(run([] { return way_of([](int) {}); }), "EINPROGRESS 10.77.0.2") << "noticed while the helper runs";
}

TEST_P(Bypass, WithoutAWayOutThereIsNone) {
  {
    const kernel::NetnsVisit visit(container_.get());
    kernel::NetlinkSocket socket(NETLINK_ROUTE);
    kernel::LinkChanges().down(kernel::find_link(socket, "eth0")->index).execute(socket, "disconnect");
  }
  EXPECT_EQ(run([] { return name(dial(tcp(), kHost)); }), "ENETUNREACH");
}

TEST_P(Bypass, LoopbackIsTheContainersOwnInEveryDisguise) {
  for (const char* host :
       {"127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::127.0.0.1"}) {
    const std::string error = run([host] {
      const int fd = tcp(0, std::string(host).find(':') == std::string::npos ? AF_INET : AF_INET6);
      ::fcntl(fd, F_SETFL, O_NONBLOCK);
      const int first = dial(fd, host);
      return name(first == EINPROGRESS && writable(fd, 100) == 1 ? pending(fd) : first);
    });
    EXPECT_NE(error, "0") << host;
  }
  EXPECT_FALSE(loopback_was_reached());
}

// A switched socket is the container's to play with. It may not lead to the host's loopback, nor be listened on.
TEST_P(Bypass, ASwitchedSocketCannotEscape) {
  const std::string seen = run([] {
    const int fd = tcp();
    std::string out = name(dial(fd, kHost));
    const sockaddr nothing{AF_UNSPEC, {}};
    out += " " + name(::connect(fd, &nothing, sizeof nothing) == 0 ? 0 : errno);
    // As when the check is passed by another thread: straight to the kernel, which is not asked to hold sendto.
    const Target inside("127.0.0.1", kPort);
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    const bool sent = ::sendto(fd, "word", 4, MSG_FASTOPEN | MSG_NOSIGNAL,
                               reinterpret_cast<const sockaddr*>(&inside.storage), inside.size) == 4;
    ::usleep(300000);
    return out + (sent ? " sent" : "") + (::send(fd, "word", 4, MSG_NOSIGNAL) == 4 ? " open" : " closed");
  });
  EXPECT_EQ(seen.substr(0, 4), "0 0 ");
  EXPECT_NE(seen.substr(seen.size() - 5), " open");
  EXPECT_FALSE(loopback_was_reached());

  if (!GetParam()) return;  // nothing but a filter keeps others from connecting to it
  Program listener = begin([] {
    const int fd = tcp();
    dial(fd, kHost);
    const sockaddr nothing{AF_UNSPEC, {}};
    ::connect(fd, &nothing, sizeof nothing);
    const Target any("0.0.0.0", 8765);
    std::string out = ::bind(fd, reinterpret_cast<const sockaddr*>(&any.storage), any.size) == 0 && ::listen(fd, 5) == 0
                          ? "listens"
                          : "";
    pollfd wait{fd, POLLIN, 0};
    return out + (::poll(&wait, 1, 1000) == 1 ? " reached" : " alone");
  });
  ::usleep(300000);
  for (const char* host : {kHost, "127.0.0.1"}) {
    const int fd = tcp();
    set_timeout(fd, 200);
    EXPECT_NE(dial(fd, host, 8765), 0);
    ::close(fd);
  }
  EXPECT_EQ(listener.finish(), "listens alone");
}

TEST_P(Bypass, UdpOnlyWhenAskedFor) {
  const auto udp = [] {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return outcome(dial(fd, kHost), fd);
  };
  EXPECT_EQ(run(udp), "0 10.77.0.2");
  start_helper(true);
  EXPECT_EQ(run(udp), std::string("0 ") + kHost);
  EXPECT_EQ(run([] {
              const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
              dial(fd, kHost);
              const sockaddr nothing{AF_UNSPEC, {}};
              ::connect(fd, &nothing, sizeof nothing);  // as getaddrinfo(3) does for each address
              const std::string outside = name(dial(fd, kHost, kClosed));
              return outside + " " + name(dial(fd, "127.0.0.1"));
            }),
            "0 ENETUNREACH");
}

TEST_P(Bypass, WithoutAHelperConnectFailsAndNothingHangs) {
  Program late = begin([] {
    std::string out;
    for (int error = 0; error == 0; ::usleep(10000)) {
      const int fd = tcp();
      error = dial(fd, kHost);
      ::close(fd);
      if (out.empty() || error != 0) out += name(error) + " ";
    }
    return out;
  });
  // The second one comes when the first has been answered.
  for (int i = 0; i < 2; ++i) {
    pollfd come{server_.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&come, 1, 10000), 1);
    kernel::accept_tcp(server_.get());
  }
  end_helper();
  EXPECT_EQ(late.finish(), "0 ENOSYS ");
}

TEST_P(Bypass, TheHelperEndsWithTheContainer) {
  EXPECT_EQ(run([] { return name(dial(tcp(), kHost)); }), "0");
  link_.ours.reset();
  int status = -1;
  ASSERT_EQ(::waitpid(helper_, &status, 0), helper_);
  helper_ = 0;
  EXPECT_EQ(status, 0);
}

INSTANTIATE_TEST_SUITE_P(Guarded, Bypass, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "ByFilter" : "ByInterface"; });

}  // namespace
}  // namespace bryo::bypass

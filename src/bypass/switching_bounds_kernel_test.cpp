// What the bypass leaves alone, and what a switched socket cannot do.
#include "bypass/lab_test.hpp"

namespace bryo::bypass {
namespace {

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

}  // namespace
}  // namespace bryo::bypass

// What connect() means in a container with a bypass: connections, refusals, waiting, options, and the end of the
// helper.
#include "bypass/lab_test.hpp"

namespace bryo::bypass {
namespace {

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

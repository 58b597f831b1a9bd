// Connects in every way that a program may, for the tests of the bypass. One static program, run inside a container.
//
//   dial tcp|udp HOST PORT [WORD…]     connects; prints "local ADDRESS", or "errno NAME", and what the WORDs ask for:
//        nonblock    O_NONBLOCK: prints "first NAME" and waits with poll
//        bind        binds to a port of the kernel's choice before; prints "port kept" or "port lost"
//        epoll       registers with epoll before and waits for it
//        late-epoll  registers after connect, as most programs do
//        timeout     SO_SNDTIMEO of 300 ms
//        alarm       SIGALRM after 300 ms, without SA_RESTART
//        restart     SIGALRM every 20 ms with SA_RESTART, and SO_SNDTIMEO of 400 ms
//        options     sets options before and compares them afterwards: "options kept"
//        cloexec     "cloexec 1" or "cloexec 0" of the descriptor afterwards
//        fork        a child connects, and says how it went
//        retry       connects to port 1 first, which refuses, then to PORT with the same socket
//        again       connects a second time afterwards: prints "second NAME"
//        udp-again   connects to another port of the host in between
//        escape      when connected: AF_UNSPEC, then 127.0.0.1 PORT and ::1; then listen: prints what happens
//        text        sends "hello\n" and prints the answer
//   dial many HOST PORT COUNT          as many connections one after the other, each reset at once; connections a
//   second dial stream HOST PORT SECONDS      sends as fast as it can; prints megabytes a second dial disguises PORT
//   tries every name of a loopback address with this port; prints how each ended dial attack HOST PORT PORT2 SECONDS
//   rewrites the address to 127.0.0.1:PORT2 and exchanges descriptors while it
//                                         connects to HOST:PORT; sends what connects a word
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

const char* name_of(int error) { return error == 0 ? "0" : strerrorname_np(error); }

struct Target {
  sockaddr_storage address{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

Target target(const std::string& host, int port) {
  Target out;
  if (host.find(':') == std::string::npos) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(static_cast<std::uint16_t>(port));
    inet_pton(AF_INET, host.c_str(), &v4.sin_addr);
    std::memcpy(&out.address, &v4, out.size = sizeof v4);
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(static_cast<std::uint16_t>(port));
    inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr);
    std::memcpy(&out.address, &v6, out.size = sizeof v6);
  }
  return out;
}

// In IPv4 addresses the port is at the same place, and the address where IPv6 has its flow.
sockaddr_in6 local_of(int fd) {
  sockaddr_in6 address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return address;
}

int port_of(const sockaddr_in6& address) { return ntohs(address.sin6_port); }

std::string text_of(const sockaddr_in6& address) {
  char text[INET6_ADDRSTRLEN] = "";
  const void* from = &address.sin6_addr;
  if (address.sin6_family == AF_INET) from = &address.sin6_flowinfo;
  inet_ntop(address.sin6_family, from, text, sizeof text);
  return text;
}

int pending_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

struct OptionValue {
  int level, name, value;
};
constexpr OptionValue kOptions[] = {
    {SOL_SOCKET, SO_KEEPALIVE, 1}, {SOL_SOCKET, SO_RCVBUF, 99000},        {SOL_SOCKET, SO_OOBINLINE, 1},
    {IPPROTO_TCP, TCP_NODELAY, 1}, {IPPROTO_TCP, TCP_KEEPIDLE, 77},       {IPPROTO_TCP, TCP_KEEPCNT, 3},
    {IPPROTO_TCP, TCP_SYNCNT, 2},  {IPPROTO_TCP, TCP_USER_TIMEOUT, 9000},
};

void set_timeout(int fd, int milliseconds) {
  const timeval value{0, milliseconds * 1000};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof value);
}

void set_alarm(int flags) {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  action.sa_flags = flags;
  sigaction(SIGALRM, &action, nullptr);
}

class Dial {
 public:
  Dial(bool tcp, const std::string& host, int port, std::set<std::string> words)
      : tcp_(tcp), host_(host), port_(port), words_(std::move(words)), to_(target(host, port)) {}

  int run() {
    fd_ = socket(to_.address.ss_family, (tcp_ ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
    if (has("nonblock") || has("epoll") || has("late-epoll")) fcntl(fd_, F_SETFL, O_NONBLOCK);
    prepare();
    if (has("fork")) {
      const pid_t child = fork();
      if (child != 0) {
        int status = 0;
        waitpid(child, &status, 0);
        return WEXITSTATUS(status);
      }
    }
    if (has("retry")) {
      const Target refused = target(host_, 1);
      std::printf("refused %s\n", name_of(connect_to(refused)));
    }
    const int error = connect_to(to_);
    if (error != 0)
      std::printf("errno %s\n", name_of(error));
    else
      std::printf("local %s\n", text_of(local_of(fd_)).c_str());
    afterwards();
    return 0;
  }

 private:
  bool has(const char* word) const { return words_.contains(word); }

  void prepare() {
    if (has("bind")) {
      const Target any = target(to_.address.ss_family == AF_INET ? "0.0.0.0" : "::", 0);
      bind(fd_, any.get(), any.size);
      bound_ = port_of(local_of(fd_));
    }
    if (has("options"))
      for (const OptionValue& o : kOptions) setsockopt(fd_, o.level, o.name, &o.value, sizeof o.value);
    if (has("timeout")) set_timeout(fd_, 300);
    if (has("alarm")) {
      set_alarm(0);
      const itimerval value{{0, 0}, {0, 300000}};
      setitimer(ITIMER_REAL, &value, nullptr);
    }
    if (has("restart")) {
      set_alarm(SA_RESTART);
      set_timeout(fd_, 400);
      const itimerval value{{0, 20000}, {0, 20000}};
      setitimer(ITIMER_REAL, &value, nullptr);
    }
    if (has("epoll")) register_epoll();
  }

  void register_epoll() {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{EPOLLOUT | EPOLLET, {.u64 = 7}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd_, &event);
    // A socket that was never connected says EPOLLHUP at once; with EPOLLET only once.
    epoll_wait(epoll_, &event, 1, 0);
  }

  int connect_to(const Target& to) {
    if (connect(fd_, to.get(), to.size) == 0) return 0;
    const int error = errno;
    if (error != EINPROGRESS || has("timeout") || has("restart")) return error;
    std::printf("first %s\n", name_of(error));
    if (has("late-epoll")) register_epoll();
    if (epoll_ >= 0) {
      epoll_event event{};
      if (epoll_wait(epoll_, &event, 1, 5000) == 1 || late_state()) return pending_error(fd_);
      return ETIME;
    }
    pollfd wait{fd_, POLLOUT, 0};
    return poll(&wait, 1, 5000) == 1 ? pending_error(fd_) : ETIME;
  }

  // register_epoll() has taken the edge already.
  bool late_state() const {
    pollfd wait{fd_, POLLOUT, 0};
    return has("late-epoll") && poll(&wait, 1, 0) == 1;
  }

  void afterwards() {
    if (has("bind")) std::printf("port %s\n", port_of(local_of(fd_)) == bound_ ? "kept" : "lost");
    if (has("options")) compare_options();
    if (has("cloexec")) std::printf("cloexec %d\n", fcntl(fd_, F_GETFD) & FD_CLOEXEC);
    if (has("again")) std::printf("second %s\n", name_of(connect(fd_, to_.get(), to_.size) == 0 ? 0 : errno));
    if (has("text")) talk();
    if (has("escape")) escape();
  }

  void compare_options() {
    std::string lost;
    for (const OptionValue& o : kOptions) {
      int value = 0;
      socklen_t size = sizeof value;
      getsockopt(fd_, o.level, o.name, &value, &size);
      if (value != o.value && value != 2 * o.value)
        lost += " " + std::to_string(o.level) + "/" + std::to_string(o.name);
    }
    std::printf("options %s\n", lost.empty() ? "kept" : lost.c_str());
  }

  void talk() {
    fcntl(fd_, F_SETFL, 0);
    if (send(fd_, "hello\n", 6, MSG_NOSIGNAL) != 6) std::printf("send %s\n", name_of(errno));
    pollfd wait{fd_, POLLIN, 0};
    char answer[256];
    const ssize_t size = poll(&wait, 1, 3000) == 1 ? recv(fd_, answer, sizeof answer, 0) : -1;
    std::printf("answer %.*s\n", static_cast<int>(size < 0 ? 0 : size), answer);
  }

  void escape() {
    fcntl(fd_, F_SETFL, O_NONBLOCK);
    sockaddr nothing{};
    nothing.sa_family = AF_UNSPEC;
    std::printf("unspec %s\n", name_of(connect(fd_, &nothing, sizeof nothing) == 0 ? 0 : errno));
    const Target inside = target("127.0.0.1", port_);
    std::printf("loopback %s\n", name_of(connect(fd_, inside.get(), inside.size) == 0 ? 0 : errno));
    std::printf("listen %s\n", name_of(listen(fd_, 8) == 0 ? 0 : errno));
    std::printf("port %d\n", port_of(local_of(fd_)));
    std::fflush(stdout);
    pollfd wait{fd_, POLLIN, 0};
    std::printf("accepted %d\n", poll(&wait, 1, 2000) == 1 && accept(fd_, nullptr, nullptr) >= 0 ? 1 : 0);
  }

  bool tcp_;
  std::string host_;
  int port_;
  std::set<std::string> words_;
  Target to_;
  int fd_ = -1;
  int epoll_ = -1;
  int bound_ = 0;
};

int many(const Target& to, int count) {
  const auto begin = Clock::now();
  for (int i = 0; i < count; ++i) {
    const int fd = socket(to.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, to.get(), to.size) != 0) {
      std::printf("errno %s after %d\n", name_of(errno), i);
      return 1;
    }
    // Without this the ports of the host would be used up by connections that wait for latecomers.
    const linger reset{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
  }
  const std::chrono::duration<double> taken = Clock::now() - begin;
  std::printf("%.0f\n", count / taken.count());
  return 0;
}

int stream(const Target& to, int seconds) {
  const int fd = socket(to.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, to.get(), to.size) != 0) {
    std::printf("errno %s\n", name_of(errno));
    return 1;
  }
  static char block[128 << 10];
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::seconds(seconds);
  double sent = 0;
  while (Clock::now() < end) {
    const ssize_t size = send(fd, block, sizeof block, MSG_NOSIGNAL);
    if (size <= 0) break;
    sent += static_cast<double>(size);
  }
  const std::chrono::duration<double> taken = Clock::now() - begin;
  std::printf("%.1f\n", sent / taken.count() / 1e6);
  return 0;
}

int disguises(int port) {
  for (const char* host :
       {"127.0.0.1", "127.1.2.3", "127.255.255.254", "0.0.0.0", "0.0.0.1", "::1", "::", "::ffff:127.0.0.1",
        "::ffff:0.0.0.0", "::127.0.0.1", "::ffff:0:7f00:1", "64:ff9b::7f00:1", "2002:7f00:1::"}) {
    const Target to = target(host, port);
    const int fd = socket(to.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    set_timeout(fd, 300);
    const int error = connect(fd, to.get(), to.size) == 0 ? 0 : errno;
    std::printf("%s %s\n", host, name_of(error));
    close(fd);
  }
  return 0;
}

// Two threads against one held call: the address flips between outside and the host's loopback, and the descriptor
// between a fresh socket, one that was exchanged before and a unix socket, whose connect() is let through.
int attack(const std::string& host, int port, int second, int seconds) {
  const Target outside = target(host, port);
  const Target inside = target("127.0.0.1", second);
  static sockaddr_storage shared;
  std::memcpy(&shared, &outside.address, sizeof shared);
  std::atomic<bool> over = false;
  std::atomic<int> given{-1};
  std::thread flips([&] {
    while (!over) {
      std::memcpy(&shared, &inside.address, inside.size);
      std::memcpy(&shared, &outside.address, outside.size);
    }
  });
  sockaddr_un path{};
  path.sun_family = AF_UNIX;
  std::strcpy(path.sun_path, "/nowhere");
  static sockaddr_storage lure;
  constexpr int kNumber = 100;
  std::thread exchanges([&] {
    while (!over) {
      const int unconnected = given.load();
      if (unconnected < 0) continue;
      std::memcpy(&lure, &inside.address, inside.size);
      dup2(unconnected, kNumber);
      const int decoy = socket(AF_UNIX, SOCK_STREAM, 0);
      dup2(decoy, kNumber);
      std::memcpy(&lure, &path, sizeof path);
      close(decoy);
    }
  });
  // A socket of the host's that is not connected any more.
  const int spare = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr nothing{};
  nothing.sa_family = AF_UNSPEC;
  if (connect(spare, outside.get(), outside.size) == 0) {
    connect(spare, &nothing, sizeof nothing);
    fcntl(spare, F_SETFL, O_NONBLOCK);
    given = spare;
  }
  long connected = 0;
  long tried = 0;
  for (const auto end = Clock::now() + std::chrono::seconds(seconds); Clock::now() < end; ++tried) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(fd, reinterpret_cast<sockaddr*>(&shared), outside.size) == 0 || errno == EINPROGRESS) {
      pollfd wait{fd, POLLOUT, 0};
      if (poll(&wait, 1, 20) == 1 && send(fd, "word\n", 5, MSG_NOSIGNAL) == 5) ++connected;
      connect(fd, &nothing, sizeof nothing);
      connect(fd, reinterpret_cast<sockaddr*>(&shared), outside.size);
    }
    const linger reset{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    connect(kNumber, reinterpret_cast<sockaddr*>(&lure), sizeof path);
    send(kNumber, "word\n", 5, MSG_NOSIGNAL | MSG_DONTWAIT);
    send(spare, "word\n", 5, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  over = true;
  flips.join();
  exchanges.join();
  std::printf("tried %ld connected %ld\n", tried, connected);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const std::vector<std::string> a(words + 1, words + count);
  if (a.size() >= 3 && (a[0] == "tcp" || a[0] == "udp"))
    return Dial(a[0] == "tcp", a[1], std::atoi(a[2].c_str()), {a.begin() + 3, a.end()}).run();
  if (a.size() == 4 && a[0] == "many") return many(target(a[1], std::atoi(a[2].c_str())), std::atoi(a[3].c_str()));
  if (a.size() == 4 && a[0] == "stream") return stream(target(a[1], std::atoi(a[2].c_str())), std::atoi(a[3].c_str()));
  if (a.size() == 2 && a[0] == "disguises") return disguises(std::atoi(a[1].c_str()));
  if (a.size() == 5 && a[0] == "attack")
    return attack(a[1], std::atoi(a[2].c_str()), std::atoi(a[3].c_str()), std::atoi(a[4].c_str()));
  std::fprintf(stderr, "usage: see the head of dial.cpp\n");
  return 2;
}

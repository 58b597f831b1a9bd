// What tests run inside containers when busybox cannot tell: one static program.
//
//   probe serve PORT            TCP and UDP, IPv4 and IPv6: answers "peer ADDRESS PORT\n", then echoes
//   probe ask tcp|udp HOST PORT [TEXT]   prints the answer's first line
//   probe count MILLISECONDS    "line 1", "line 2", … for ever, each in one write
//   probe status                descriptors, working directory, capabilities, groups, seccomp, as "key value" lines
//   probe hold MEGABYTES        touches that much memory, says so, and waits
//   probe fork COUNT            makes that many children at once, says how many it got
//   probe sockets               which socket families may be made
#include <arpa/inet.h>
#include <dirent.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

int fail(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
  return 1;
}

std::string peer_line(const sockaddr_in6& peer) {
  char text[INET6_ADDRSTRLEN] = "";
  if (IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr)) {
    inet_ntop(AF_INET, &peer.sin6_addr.s6_addr[12], text, sizeof text);
  } else {
    inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text);
  }
  return std::string("peer ") + text + " " + std::to_string(ntohs(peer.sin6_port)) + "\n";
}

int listen_on(int type, std::uint16_t port) {
  const int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
  const int on = 1, off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return -1;
  if (type == SOCK_STREAM && listen(fd, 64) != 0) return -1;
  return fd;
}

void converse(int connection, const sockaddr_in6& peer) {
  const std::string line = peer_line(peer);
  if (write(connection, line.data(), line.size()) < 0) return;
  char buffer[65536];
  for (ssize_t n; (n = read(connection, buffer, sizeof buffer)) > 0;) {
    if (write(connection, buffer, static_cast<std::size_t>(n)) < 0) return;
  }
}

void answer_tcp(int listener) {
  sockaddr_in6 peer{};
  socklen_t length = sizeof peer;
  const int connection = accept(listener, reinterpret_cast<sockaddr*>(&peer), &length);
  if (connection < 0) return;
  if (fork() == 0) {
    converse(connection, peer);
    _exit(0);
  }
  close(connection);
}

void answer_udp(int fd) {
  sockaddr_in6 peer{};
  socklen_t length = sizeof peer;
  char buffer[65536];
  const ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&peer), &length);
  if (n < 0) return;
  const std::string reply = peer_line(peer) + std::string(buffer, static_cast<std::size_t>(n));
  sendto(fd, reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&peer), length);
}

int serve(std::uint16_t port) {
  std::signal(SIGCHLD, SIG_IGN);
  std::signal(SIGTERM, [](int) { _exit(0); });
  pollfd fds[2] = {{listen_on(SOCK_STREAM, port), POLLIN, 0}, {listen_on(SOCK_DGRAM, port), POLLIN, 0}};
  if (fds[0].fd < 0 || fds[1].fd < 0) return fail("listen");
  std::puts("listening");
  std::fflush(stdout);
  for (;;) {
    if (poll(fds, 2, -1) < 0) continue;
    if (fds[0].revents != 0) answer_tcp(fds[0].fd);
    if (fds[1].revents != 0) answer_udp(fds[1].fd);
  }
}

int ask(const std::string& protocol, const char* host, const char* port, const std::string& text) {
  addrinfo hints{};
  hints.ai_socktype = protocol == "udp" ? SOCK_DGRAM : SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host, port, &hints, &found); error != 0) {
    std::fprintf(stderr, "%s: %s\n", host, gai_strerror(error));
    return 1;
  }
  const int fd = socket(found->ai_family, found->ai_socktype, 0);
  const timeval limit{3, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (connect(fd, found->ai_addr, found->ai_addrlen) != 0) return fail("connect");
  if (write(fd, text.data(), text.size()) < 0) return fail("send");
  char buffer[4096];
  const ssize_t n = read(fd, buffer, sizeof buffer);
  if (n <= 0) return fail("receive");
  const std::string reply(buffer, static_cast<std::size_t>(n));
  std::fputs(reply.substr(0, reply.find('\n') + 1).c_str(), stdout);
  return 0;
}

int count(int milliseconds) {
  std::signal(SIGTERM, [](int) { _exit(0); });
  for (long i = 1;; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    if (write(1, line.data(), line.size()) < 0) return 1;
    usleep(static_cast<useconds_t>(milliseconds) * 1000);
  }
}

void print_descriptors() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] == '.' || std::atoi(entry->d_name) == dirfd(directory)) continue;
    char target[4096] = "";
    const std::string name = std::string("/proc/self/fd/") + entry->d_name;
    if (readlink(name.c_str(), target, sizeof target - 1) < 0) continue;
    std::printf("fd%s %s\n", entry->d_name, target);
  }
  closedir(directory);
}

int status() {
  print_descriptors();
  char directory[4096] = "(none)";
  std::printf("cwd %s\n", getcwd(directory, sizeof directory) != nullptr ? directory : std::strerror(errno));
  FILE* file = std::fopen("/proc/self/status", "re");
  if (file == nullptr) return fail("/proc/self/status");
  char line[4096];
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (char* colon = std::strchr(line, ':'); colon != nullptr && colon[1] == '\t') {
      *colon = '\0';
      std::printf("%s %s", line, colon + 2);
    }
  }
  std::fclose(file);
  return 0;
}

int hold(std::size_t megabytes) {
  const std::size_t size = megabytes << 20;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail("mmap");
  std::memset(memory, 1, size);
  std::printf("holding %zu\n", megabytes);
  std::fflush(stdout);
  pause();
  return 0;
}

int fork_many(int wanted) {
  int made = 0;
  for (; made < wanted; ++made) {
    const pid_t pid = fork();
    if (pid < 0) break;
    if (pid == 0) {
      pause();
      _exit(0);
    }
  }
  std::printf("forked %d\n", made);
  std::fflush(stdout);
  std::signal(SIGTERM, SIG_IGN);
  kill(0, SIGTERM);
  while (wait(nullptr) > 0) {
  }
  return 0;
}

int sockets() {
  const std::vector<std::pair<const char*, int>> families = {
      {"unix", AF_UNIX}, {"inet", AF_INET},   {"inet6", AF_INET6},  {"netlink", AF_NETLINK},
      {"alg", AF_ALG},   {"vsock", AF_VSOCK}, {"packet", AF_PACKET}};
  for (const auto& [name, family] : families) {
    const int fd = socket(family, family == AF_ALG ? SOCK_SEQPACKET : SOCK_RAW, 0);
    const int stream = fd < 0 ? socket(family, SOCK_STREAM, 0) : fd;
    std::printf("%s %s\n", name, stream >= 0 ? "yes" : std::strerror(errno));
    if (stream >= 0) close(stream);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> a(argv + 1, argv + argc);
  if (a.size() == 2 && a[0] == "serve") return serve(static_cast<std::uint16_t>(std::stoi(a[1])));
  if (a.size() >= 4 && a[0] == "ask") return ask(a[1], argv[3], argv[4], a.size() > 4 ? a[4] : "hello");
  if (a.size() == 2 && a[0] == "count") return count(std::stoi(a[1]));
  if (a.size() == 1 && a[0] == "status") return status();
  if (a.size() == 2 && a[0] == "hold") return hold(std::stoul(a[1]));
  if (a.size() == 2 && a[0] == "fork") return fork_many(std::stoi(a[1]));
  if (a.size() == 1 && a[0] == "sockets") return sockets();
  std::fputs("probe: unknown command\n", stderr);
  return 64;
}

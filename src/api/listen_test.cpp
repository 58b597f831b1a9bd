#include "api/listen.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>

#include "api/activation.hpp"
#include "api/test_server.hpp"
#include "base/error.hpp"

namespace bryo::api {
namespace {

using testing::HasSubstr;

struct stat status_of(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) throw std::runtime_error("no " + path);
  return status;
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.message();
  }
  return "no error";
}

TEST(Endpoint, ParsesDockersForms) {
  EXPECT_EQ(Endpoint::parse("unix:///run/x.sock", false).str(), "/run/x.sock");
  EXPECT_EQ(Endpoint::parse("/run/x.sock", false).kind, Endpoint::Kind::unix_socket);
  EXPECT_EQ(Endpoint::parse("tcp://10.0.0.1:99", false).str(), "10.0.0.1:99");
  EXPECT_EQ(Endpoint::parse("tcp://", false).str(), "127.0.0.1:2375");
  EXPECT_EQ(Endpoint::parse("tcp://host", true).str(), "host:2376");
  EXPECT_EQ(Endpoint::parse("tcp://[::1]:80", false).str(), "[::1]:80");
  EXPECT_EQ(Endpoint::parse("tcp://[::1]", false).str(), "[::1]:2375");
  EXPECT_EQ(Endpoint::parse("fd://", false).kind, Endpoint::Kind::inherited);
  for (const char* bad : {"", "x", "unix://x", "tcp://a:b", "tcp://a:0", "tcp://a:70000", "tcp://[::1", "http://a"})
    EXPECT_THROW(Endpoint::parse(bad, false), Error) << bad;
}

// The attack: connect in the moment between bind() and chmod(). Watched: the name appears once, with its final mode.
TEST(Listen, CVE_2014_3499_SocketIsNeverOpenToOthers) {
  const TestDirectory directory;
  const std::string path = directory.path() + "/api.sock";
  const UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ASSERT_GE(::inotify_add_watch(watch.get(), directory.path().c_str(), IN_CREATE | IN_ATTRIB | IN_MOVED_TO), 0);
  const mode_t before = ::umask(0);
  auto opened = open_endpoint(Endpoint::parse("unix://" + path, false), 0, false);
  ::umask(before);
  EXPECT_EQ(status_of(path).st_mode & 07777, 0660U);
  alignas(inotify_event) char buffer[4096];
  const ssize_t got = ::read(watch.get(), buffer, sizeof buffer);
  bool moved = false;
  for (ssize_t at = 0; at < got;) {
    const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
    const std::string name = event->len > 0 ? event->name : "";
    if (name == "api.sock") {
      EXPECT_EQ(event->mask & (IN_CREATE | IN_ATTRIB), 0U) << "created or changed in place";
      moved = moved || (event->mask & IN_MOVED_TO) != 0;
    }
    at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
  }
  EXPECT_TRUE(moved);
  connect_unix(path);
  opened.listeners.clear();
  opened.file.reset();
  EXPECT_NE(::access(path.c_str(), F_OK), 0) << "removed at the end";
  EXPECT_TRUE(std::filesystem::is_empty(directory.path())) << "nothing else stays";
}

TEST(Listen, ParentIsMadeAndPassableOnly) {
  const TestDirectory directory;
  const auto opened = open_endpoint(Endpoint::parse("unix://" + directory.path() + "/run/api.sock", false), 0, false);
  EXPECT_EQ(status_of(directory.path() + "/run").st_mode & 07777, 0711U & ~022U);
}

TEST(Listen, GroupOwnsTheSocket) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give files to a group";
  const TestDirectory directory;
  const std::string path = directory.path() + "/api.sock";
  const auto opened = open_endpoint(Endpoint::parse("unix://" + path, false), 1234, false);
  EXPECT_EQ(status_of(path).st_gid, 1234U);
  EXPECT_EQ(status_of(path).st_uid, 0U);
}

TEST(Listen, LiveSocketIsAConflict_DeadOneIsReplaced) {
  const TestDirectory directory;
  const auto endpoint = Endpoint::parse("unix://" + directory.path() + "/api.sock", false);
  auto first = open_endpoint(endpoint, 0, false);
  EXPECT_THAT(error_of([&] { open_endpoint(endpoint, 0, false); }), HasSubstr("another daemon answers there"));
  first.listeners.clear();  // the file stays, nobody listens: what kill -9 leaves
  auto second = open_endpoint(endpoint, 0, false);
  first.file.reset();
  EXPECT_TRUE(somebody_listens(endpoint.address)) << "the first one's end must not remove the second one's socket";
}

TEST(Listen, WhatIsNotASocketIsLeftAlone) {
  const TestDirectory directory;
  const std::string path = directory.path() + "/file";
  std::ofstream(path) << "precious";
  EXPECT_THAT(error_of([&] { open_endpoint(Endpoint::parse(path, false), 0, false); }), HasSubstr("is not a socket"));
  EXPECT_EQ(std::filesystem::file_size(path), 8U);
  EXPECT_THAT(error_of([&] { open_endpoint(Endpoint::parse("/" + std::string(200, 'x'), false), 0, false); }),
              HasSubstr("too long"));
}

TEST(Listen, TcpInUse_IsSaidInGosWords) {
  const UniqueFd taken(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(::bind(taken.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(taken.get(), 1), 0);
  ASSERT_EQ(::getsockname(taken.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  const auto endpoint = Endpoint::parse(fmt::format("tcp://127.0.0.1:{}", ntohs(address.sin_port)), false);
  EXPECT_THAT(error_of([&] { open_endpoint(endpoint, 0, false); }), HasSubstr("address already in use"));
}

// In a child, since descriptor 3 and the environment are the process's.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Activation, TakesSystemdsSockets) {
  const TestDirectory directory;
  const auto opened = open_endpoint(Endpoint::parse(directory.path() + "/api.sock", false), 0, false);
  const auto child = [&](const char* pid, const char* wanted) {
    return in_child([&] {
      ::dup2(opened.listeners.at(0).socket.get(), 3);
      ::fcntl(3, F_SETFD, 0);
      ::setenv("LISTEN_FDS", "1", 1);
      ::setenv("LISTEN_FDNAMES", "api", 1);
      ::setenv("LISTEN_PID", *pid == '\0' ? std::to_string(::getpid()).c_str() : pid, 1);
      try {
        const auto sockets = take_inherited_sockets(wanted);
        return sockets.size() == 1 && sockets[0].is_unix && sockets[0].name.find("/s") != std::string::npos ? 0 : 1;
      } catch (const Error& error) {
        return error.message().find("LISTEN_FDS") != std::string::npos ? 2 : 3;
      }
    });
  };
  EXPECT_EQ(child("", ""), 0);
  EXPECT_EQ(child("", "api"), 0);
  EXPECT_EQ(child("", "other"), 2);
  EXPECT_EQ(child("1", ""), 2) << "sockets of another process";
}

TEST(Activation, KeepsSocketsOfPublishedPortsApart) {
  const TestDirectory directory;
  const auto opened = open_endpoint(Endpoint::parse(directory.path() + "/api.sock", false), 0, false);
  EXPECT_EQ(in_child([&] {
              // Above the numbers that are about to be used, whatever this program has inherited.
              const UniqueFd made(::socket(AF_INET, SOCK_DGRAM, 0));
              const UniqueFd datagrams(::fcntl(made.get(), F_DUPFD, 100));
              const UniqueFd stream(::fcntl(opened.listeners.at(0).socket.get(), F_DUPFD, 100));
              ::dup2(stream.get(), 3);
              ::dup2(datagrams.get(), 4);
              ::dup2(stream.get(), 5);
              for (const int fd : {3, 4, 5}) ::fcntl(fd, F_SETFD, 0);
              ::setenv("LISTEN_FDS", "3", 1);
              ::setenv("LISTEN_FDNAMES", "publish:publish:bryo.socket", 1);
              ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
              const auto ports = take_publish_sockets();
              if (ports.size() != 2 || ports[0].get() != 3 || ports[1].get() != 4) return 1;
              if (::fcntl(4, F_GETFD) != FD_CLOEXEC) return 2;
              const auto sockets = take_inherited_sockets("");
              return sockets.size() == 1 && sockets[0].fd.get() == 5 && take_publish_sockets().empty() ? 0 : 3;
            }),
            0);
}

TEST(Activation, TellsTheServiceManager) {
  const TestDirectory directory;
  const std::string path = directory.path() + "/notify";
  const UniqueFd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(::bind(manager.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  notify_manager("READY=1");
  ::unsetenv("NOTIFY_SOCKET");
  notify_manager("STOPPING=1");
  char buffer[64];
  const ssize_t got = ::recv(manager.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  EXPECT_EQ(std::string_view(buffer, static_cast<std::size_t>(std::max<ssize_t>(got, 0))), "READY=1");
  EXPECT_LT(::recv(manager.get(), buffer, sizeof buffer, MSG_DONTWAIT), 0);
}

}  // namespace
}  // namespace bryo::api

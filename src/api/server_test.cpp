// Ordinary exchanges: whole replies, bodies, streams, relays, late replies, hijacked connections.
#include "api/server.hpp"

#include <gmock/gmock.h>

#include <future>

#include "api/test_server.hpp"
#include "base/error.hpp"

namespace bryo::api {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using namespace std::chrono_literals;

constexpr std::string_view kHost = "Host: docker\r\n";

std::string get(std::string_view path) { return fmt::format("GET {} HTTP/1.1\r\n{}\r\n", path, kHost); }
std::string post(std::string_view path, std::string_view body) {
  return fmt::format("POST {} HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n{}", path, kHost, body.size(), body);
}

std::string body_of(const std::string& reply) { return reply.substr(reply.find("\r\n\r\n") + 4); }

// The body of a chunked reply; throws when its last chunk is missing.
std::string dechunk(std::string_view rest) {
  std::string out;
  while (true) {
    const std::size_t line = rest.find("\r\n");
    if (line == std::string_view::npos) throw std::runtime_error("chunked body is cut short");
    const std::size_t size = std::strtoul(std::string(rest.substr(0, line)).c_str(), nullptr, 16);
    if (size == 0) return out;
    out += rest.substr(line + 2, size);
    rest.remove_prefix(std::min(rest.size(), line + 2 + size + 2));
  }
}

std::pair<UniqueFd, UniqueFd> socket_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw std::runtime_error("socketpair");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

struct ServerTest : testing::Test {
  Router router;
  ServerOptions options;
  std::unique_ptr<TestServer> host;

  TestClient start() {
    if (!host) {
      host = std::make_unique<TestServer>(std::move(router), options);
      host->start();
    }
    return host->connect();
  }
};

TEST_F(ServerTest, Ping_HasDockersHeaders) {
  router.add(
      Method::get, "/_ping", [](Request&) { return Reply::text(200, "text/plain; charset=utf-8", "OK"); },
      BodyMode::whole, RunOn::event_loop);
  auto client = start();
  client.send(get("/_ping"));
  const std::string reply = client.read_reply();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 200 OK\r\n"));
  for (const char* header : {"Api-Version: 1.47\r\n", "Docker-Experimental: false\r\n", "Ostype: linux\r\n",
                             "Server: Bryo/", "Content-Length: 2\r\n", "Date: "})
    EXPECT_THAT(reply, HasSubstr(header));
  EXPECT_EQ(body_of(reply), "OK");
}

TEST_F(ServerTest, Head_HasNoBody) {
  router.add(Method::head, "/_ping", [](Request&) { return Reply::text(200, "text/plain", "OK"); });
  router.add(Method::get, "/x", [](Request&) { return Reply::text(200, "text/plain", "next"); });
  auto client = start();
  client.send("HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n" + get("/x"));
  ASSERT_TRUE(client.read_until("next"));
  EXPECT_THAT(client.received(), Not(HasSubstr("\r\n\r\nOK")));
}

TEST_F(ServerTest, Pipelined_RequestsAreAnsweredInOrder) {
  router.add(Method::get, "/echo/{word}",
             [](Request& request) { return Reply::text(200, "text/plain", request.parameter("word")); });
  auto client = start();
  std::string all;
  for (int i = 0; i < 200; ++i) all += get(fmt::format("/v1.30/echo/w{}", i));
  client.send(all);
  for (int i = 0; i < 200; ++i) ASSERT_EQ(body_of(client.read_reply()), fmt::format("w{}", i));
}

TEST_F(ServerTest, Errors_BecomeStatusAndMessage) {
  router.add(Method::get, "/conflict", [](Request&) -> Reply { fail(ErrorKind::conflict, "name \"web\" is taken"); });
  router.add(Method::get, "/bug", [](Request&) -> Reply { throw std::runtime_error("a bug"); });
  router.add(Method::post, "/same", [](Request&) -> Reply { fail(ErrorKind::not_modified, "already started"); });
  auto client = start();
  client.send(get("/conflict"));
  std::string reply = client.read_reply();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 409 Conflict\r\n"));
  EXPECT_EQ(body_of(reply), "{\"message\":\"name \\\"web\\\" is taken\"}\n");
  client.send(get("/bug"));
  EXPECT_THAT(client.read_reply(), StartsWith("HTTP/1.1 500 "));
  client.send(post("/same", ""));
  reply = client.read_reply();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 304 "));
  EXPECT_THAT(reply, Not(HasSubstr("Content-Length")));
  client.send(get("/nowhere"));
  reply = client.read_reply();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 404 "));
  EXPECT_EQ(body_of(reply), "{\"message\":\"page not found\"}\n");
}

TEST_F(ServerTest, Body_ArrivesWhole_LengthOrChunked) {
  router.add(Method::post, "/length",
             [](Request& request) { return Reply::text(200, "text/plain", fmt::format("{}|", request.body)); });
  auto client = start();
  client.send(post("/length", "hello"));
  EXPECT_EQ(body_of(client.read_reply()), "hello|");
  client.send("POST /length HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  client.send("2;x=y\r\nde\r\n0\r\nTrailer: ignored\r\n\r\n");
  EXPECT_EQ(body_of(client.read_reply()), "abcde|");
  client.send("POST /length HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(client.read_until("HTTP/1.1 100 Continue\r\n\r\n"));
  client.send("ok");
  ASSERT_TRUE(client.read_until("ok|"));
}

TEST_F(ServerTest, Body_StreamedToHandler_WithBackPressure) {
  constexpr std::size_t kTotal = 32 << 20;
  router.add(
      Method::put, "/sink",
      [](Request& request) {
        std::string buffer(100000, '\0');
        std::uint64_t total = 0;
        while (const std::size_t got = request.stream->read(std::as_writable_bytes(std::span(buffer)))) total += got;
        return Reply::text(200, "text/plain", fmt::format("{}", total));
      },
      BodyMode::streamed);
  auto client = start();
  client.send(fmt::format("PUT /sink HTTP/1.1\r\nHost: d\r\nContent-Length: {}\r\n\r\n", kTotal));
  const std::string piece(1 << 20, 'x');
  for (std::size_t sent = 0; sent < kTotal; sent += piece.size()) ASSERT_TRUE(client.send(piece));
  EXPECT_EQ(body_of(client.read_reply()), std::to_string(kTotal));
  client.send("PUT /sink HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
  EXPECT_EQ(body_of(client.read_reply()), "5") << "the connection goes on after a streamed body";
}

TEST_F(ServerTest, Body_ClientGone_EndsTheHandler) {
  std::promise<ErrorKind> seen;
  router.add(
      Method::put, "/sink",
      [&](Request& request) {
        std::byte buffer[100];
        try {
          while (request.stream->read(buffer) > 0) {
          }
        } catch (const Error& error) {
          seen.set_value(error.kind());
        }
        return Reply::empty(200);
      },
      BodyMode::streamed);
  auto client = start();
  client.send("PUT /sink HTTP/1.1\r\nHost: d\r\nContent-Length: 1000\r\n\r\nonly this");
  client.close();
  auto result = seen.get_future();
  ASSERT_EQ(result.wait_for(10s), std::future_status::ready);
  EXPECT_EQ(result.get(), ErrorKind::cancelled);
}

TEST_F(ServerTest, Body_NotReadByHandler_ReplyStillArrives) {
  router.add(
      Method::put, "/sink", [](Request&) { return Reply::text(400, "text/plain", "no"); }, BodyMode::streamed);
  auto client = start();
  client.send("PUT /sink HTTP/1.1\r\nHost: d\r\nContent-Length: 3000000\r\n\r\n");
  client.send(std::string(1000000, 'x'));
  ASSERT_TRUE(client.read_until("\r\n\r\nno"));
}

TEST_F(ServerTest, Stream_PiecesArriveAsTheyAreWritten) {
  std::promise<void> go_on;
  router.add(Method::post, "/pull", [&](Request&) {
    return Reply::stream("application/json", Reply::OnError::json_line, [&](BodyWriter& out) {
      out.header("X-Early", "yes");
      out.write("first\n");
      go_on.get_future().wait();
      out.write(std::string(3 << 20, 'z'));
      out.write("last\n");
    });
  });
  auto client = start();
  client.send(post("/pull", ""));
  ASSERT_TRUE(client.read_until("first\n"));
  EXPECT_THAT(client.received(), HasSubstr("X-Early: yes\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("Transfer-Encoding: chunked\r\n"));
  go_on.set_value();
  ASSERT_TRUE(client.read_until("\r\n0\r\n\r\n"));
  EXPECT_EQ(dechunk(body_of(client.received())).size(), 6 + (3U << 20) + 5);
}

TEST_F(ServerTest, Stream_ErrorBeforeFirstByteIsAPlainError) {
  router.add(Method::post, "/pull", [](Request&) {
    return Reply::stream("application/json", Reply::OnError::json_line,
                         [](BodyWriter&) { fail(ErrorKind::not_found, "no such image"); });
  });
  auto client = start();
  client.send(post("/pull", ""));
  const std::string reply = client.read_reply();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(reply, HasSubstr("no such image"));
}

TEST_F(ServerTest, Stream_LateErrorIsALineOrBreaksTheConnection) {
  const auto producer = [](BodyWriter& out) {
    out.write("some\n");
    fail(ErrorKind::unavailable, "registry went away");
  };
  router.add(Method::post, "/pull",
             [=](Request&) { return Reply::stream("application/json", Reply::OnError::json_line, producer); });
  router.add(Method::get, "/export",
             [=](Request&) { return Reply::stream("application/x-tar", Reply::OnError::abort, producer); });
  auto client = start();
  client.send(post("/pull", ""));
  ASSERT_TRUE(client.read_until("\r\n0\r\n\r\n"));
  EXPECT_EQ(dechunk(body_of(client.received())),
            "some\n{\"errorDetail\":{\"message\":\"registry went away\"},\"error\":\"registry went away\"}\r\n");
  auto other = start();
  other.send(get("/export"));
  EXPECT_THAT(other.read_to_end(), Not(HasSubstr("\r\n0\r\n\r\n")));
}

TEST_F(ServerTest, Stream_ClientGone_CancelsTheProducer) {
  std::promise<ErrorKind> seen;
  router.add(Method::get, "/export", [&](Request&) {
    return Reply::stream("application/x-tar", Reply::OnError::abort, [&](BodyWriter& out) {
      try {
        while (true) out.write(std::string(100000, 'x'));
      } catch (const Error& error) {
        seen.set_value(error.kind());
        throw;
      }
    });
  });
  auto client = start();
  client.send(get("/export"));
  ASSERT_TRUE(client.read_until("xxx"));
  client.close();
  auto result = seen.get_future();
  ASSERT_EQ(result.wait_for(10s), std::future_status::ready);
  EXPECT_EQ(result.get(), ErrorKind::cancelled);
}

TEST_F(ServerTest, Stream_ForHttp10EndsWithTheConnection) {
  router.add(Method::get, "/export", [](Request&) {
    return Reply::stream("application/x-tar", Reply::OnError::abort, [](BodyWriter& out) { out.write("tar"); });
  });
  auto client = start();
  client.send("GET /export HTTP/1.0\r\n\r\n");
  const std::string reply = client.read_to_end();
  EXPECT_THAT(reply, StartsWith("HTTP/1.0 200 OK\r\n"));
  EXPECT_EQ(body_of(reply), "tar");
}

TEST_F(ServerTest, Relay_CopiesUntilEndOfFile_AndClosesWhenClientGoes) {
  auto [engine, api] = socket_pair();
  auto [engine2, api2] = socket_pair();
  std::vector<UniqueFd> ends;
  ends.push_back(std::move(api2));
  ends.push_back(std::move(api));
  router.add(Method::get, "/logs", [&](Request&) {
    UniqueFd fd = std::move(ends.back());
    ends.pop_back();
    return Reply::relay("application/vnd.docker.raw-stream", std::move(fd));
  });
  auto client = start();
  client.send(get("/logs"));
  ASSERT_TRUE(client.read_until("\r\n\r\n")) << "the head leaves before there is data";
  ASSERT_EQ(::write(engine.get(), "line 1\n", 7), 7);
  ASSERT_TRUE(client.read_until("line 1\n"));
  ASSERT_EQ(::write(engine.get(), "line 2\n", 7), 7);
  engine.reset();
  ASSERT_TRUE(client.read_until("\r\n0\r\n\r\n"));
  EXPECT_EQ(dechunk(body_of(client.received())), "line 1\nline 2\n");

  auto other = start();
  other.send(get("/logs"));
  ASSERT_TRUE(other.read_until("\r\n\r\n"));
  other.close();
  pollfd entry{engine2.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&entry, 1, 10000), 1);
  char byte;
  EXPECT_EQ(::read(engine2.get(), &byte, 1), 0) << "the engine sees its reader go";
}

TEST_F(ServerTest, Hijack_RawBytesBothWays_WithHalfClose) {
  auto [engine, api] = socket_pair();
  UniqueFd end = std::move(api);
  router.add(Method::post, "/attach",
             [&](Request&) { return Reply::hijack("application/vnd.docker.raw-stream", std::move(end)); });
  auto client = start();
  client.send("POST /attach HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly input;");
  ASSERT_TRUE(client.read_until("\r\n\r\n"));
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 101 UPGRADED\r\nContent-Type: "
                                            "application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\n"
                                            "Upgrade: tcp\r\n"));
  client.send("more");
  client.half_close();
  std::string input;
  char buffer[100];
  while (true) {
    const ssize_t got = ::read(engine.get(), buffer, sizeof buffer);
    if (got <= 0) break;
    input.append(buffer, static_cast<std::size_t>(got));
  }
  EXPECT_EQ(input, "early input;more") << "the end of the client's input reached the engine";
  ASSERT_EQ(::write(engine.get(), "output after the input ended", 28), 28);
  engine.reset();
  EXPECT_THAT(client.read_to_end(), testing::EndsWith("\r\n\r\noutput after the input ended"));
}

TEST_F(ServerTest, Hijack_NothingOfTheStreamComesTogetherWithTheHead) {
  auto [engine, api] = socket_pair();
  UniqueFd end = std::move(api);
  router.add(Method::post, "/attach", [&](Request&) { return Reply::hijack("text/plain", std::move(end)); });
  ASSERT_EQ(::write(engine.get(), "output", 6), 6);
  auto client = start();
  client.send("POST /attach HTTP/1.1\r\nHost: d\r\n\r\n");
  const int head = client.waiting();
  // What arrives while the client does not read would be lost to a client with a buffer.
  const auto until = std::chrono::steady_clock::now() + 60ms;
  while (std::chrono::steady_clock::now() < until) ASSERT_EQ(client.waiting(), head);
  ASSERT_TRUE(client.read_until("\r\n\r\noutput"));
  EXPECT_EQ(client.received().size(), static_cast<std::size_t>(head) + 6);
}

TEST_F(ServerTest, Hijack_WithoutUpgradeAnswers200) {
  auto [engine, api] = socket_pair();
  UniqueFd end = std::move(api);
  router.add(Method::post, "/attach", [&](Request&) { return Reply::hijack("text/plain", std::move(end)); });
  auto client = start();
  client.send("POST /attach HTTP/1.1\r\nHost: d\r\n\r\n");
  ASSERT_TRUE(client.read_until("\r\n\r\n"));
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(client.received(), Not(HasSubstr("chunked")));
}

TEST_F(ServerTest, Hijack_ClientGone_ClosesTheEnginesEnd) {
  auto [engine, api] = socket_pair();
  UniqueFd end = std::move(api);
  router.add(Method::post, "/attach", [&](Request&) { return Reply::hijack("text/plain", std::move(end)); });
  auto client = start();
  client.send("POST /attach HTTP/1.1\r\nHost: d\r\n\r\n");
  ASSERT_TRUE(client.read_until("\r\n\r\n"));
  client.close();
  pollfd entry{engine.get(), 0, 0};
  ASSERT_EQ(::poll(&entry, 1, 10000), 1);
  EXPECT_TRUE(entry.revents & POLLHUP) << "both directions, though the process was silent";
}

TEST_F(ServerTest, Later_HeadersFirst_ThenTheBody) {
  std::promise<Reply::Done> registered;
  router.add(Method::post, "/wait", [&](Request&) {
    return Reply::later("application/json", true, [&](Reply::Done done) -> std::shared_ptr<void> {
      registered.set_value(std::move(done));
      return nullptr;
    });
  });
  auto client = start();
  client.send(post("/wait", ""));
  auto done = registered.get_future().get();
  ASSERT_TRUE(client.read_until("\r\n\r\n")) << "the head says that the wait is registered";
  done("{\"StatusCode\":0}\n");
  ASSERT_TRUE(client.read_until("\r\n0\r\n\r\n"));
  EXPECT_EQ(dechunk(body_of(client.received())), "{\"StatusCode\":0}\n");
}

TEST_F(ServerTest, Later_ClientGone_WithdrawsTheTicket) {
  std::promise<void> withdrawn;
  struct Ticket {
    std::promise<void>& promise;
    ~Ticket() { promise.set_value(); }
  };
  router.add(Method::post, "/wait", [&](Request&) {
    return Reply::later("application/json", true, [&](Reply::Done) -> std::shared_ptr<void> {
      return std::shared_ptr<Ticket>(new Ticket{withdrawn});
    });
  });
  auto client = start();
  client.send(post("/wait", ""));
  ASSERT_TRUE(client.read_until("\r\n\r\n"));
  client.close();
  EXPECT_EQ(withdrawn.get_future().wait_for(10s), std::future_status::ready);
}

TEST_F(ServerTest, Peer_IsWhoTheKernelSays) {
  router.add(Method::get, "/who", [](Request& request) {
    return Reply::text(200, "text/plain", fmt::format("{}:{}", request.peer.uid, request.peer.gid));
  });
  auto client = start();
  client.send(get("/who"));
  EXPECT_EQ(body_of(client.read_reply()), fmt::format("{}:{}", geteuid(), getegid()));
}

TEST_F(ServerTest, Stop_EndsConnectionsAndHandlers) {
  std::promise<void> entered;
  router.add(Method::get, "/export", [&](Request&) {
    return Reply::stream("application/x-tar", Reply::OnError::abort, [&](BodyWriter& out) {
      entered.set_value();
      while (true) out.write(std::string(100000, 'x'));
    });
  });
  auto client = start();
  auto idle = start();
  client.send(get("/export"));
  entered.get_future().wait();
  host->stop();  // hangs for ever if the producer is not told
  EXPECT_EQ(host->server().connections(), 0U);
}

}  // namespace
}  // namespace bryo::api

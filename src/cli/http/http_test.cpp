#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <thread>

#include "base/error.hpp"
#include "cli/http/client.hpp"
#include "cli/http/json_stream.hpp"

namespace bryo::cli {
namespace {

TEST(Endpoint, FormsOfHosts) {
  EXPECT_EQ(Endpoint::parse("unix:///run/x.sock").path, "/run/x.sock");
  EXPECT_EQ(Endpoint::parse("/run/x.sock").path, "/run/x.sock");
  const Endpoint plain = Endpoint::parse("tcp://127.0.0.1:2375");
  EXPECT_EQ(plain.kind, Endpoint::Kind::tcp);
  EXPECT_EQ(plain.host, "127.0.0.1");
  EXPECT_EQ(plain.port, 2375);
  EXPECT_EQ(Endpoint::parse("[::1]:99").host, "::1");
  EXPECT_EQ(Endpoint::parse("[::1]:99").authority(), "[::1]:99");
  EXPECT_EQ(Endpoint::parse("example.org").port, 2375);
  EXPECT_EQ(Endpoint::parse("https://example.org").port, 2376);
  for (const char* bad :
       {"", "ftp://x", "tcp://", "tcp://x:0", "tcp://x:99999", "tcp://x/path", "tcp://a b", "unix://"})
    EXPECT_THROW(Endpoint::parse(bad), Error) << bad;
  EXPECT_THROW(Endpoint::parse("unix:///" + std::string(200, 'x')), Error);
}

TEST(Query, ValuesAreEncoded) {
  EXPECT_EQ(Query().add("a", "b c&d").add("e", "/x=1").str(), "?a=b%20c%26d&e=/x%3D1");
  EXPECT_EQ(encode_path("a b?c#d/e:f"), "a%20b%3Fc%23d/e:f");
}

TEST(Message, HeadsAreParsed) {
  const Head head = parse_head("HTTP/1.1 404 Not Found\r\nApi-Version: 1.41\r\nX:  y \r\n\r\n");
  EXPECT_EQ(head.status, 404);
  EXPECT_EQ(head.header("api-version"), "1.41");
  EXPECT_EQ(head.header("x"), "y");
  for (const char* bad : {"", "\r\n\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n",
                          "HTTP/1.1 200 OK\r\nnocolon\r\n\r\n", "HTTP/1.1 999 OK\r\n\r\n"})
    EXPECT_THROW(parse_head(bad), Error) << bad;
  std::string many = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 1000; ++i) many += "a: b\r\n";
  EXPECT_THROW(parse_head(many + "\r\n"), Error);
}

TEST(Message, RequestsCannotBeSplit) {
  Request request;
  request.target = "/a\r\nX: y";
  EXPECT_THROW(head_text(request, "h"), Error);
  request.target = "/a";
  request.headers = {{"X-Registry-Auth", "a\r\nb: c"}};
  EXPECT_THROW(head_text(request, "h"), Error);
}

std::string decoded(std::string_view input, std::size_t piece) {
  ChunkDecoder decoder;
  std::string waiting;
  std::string out;
  while (!decoder.done()) {
    const auto step = decoder.take(waiting, 3);
    out += step.data;
    waiting.erase(0, step.consumed);
    if (step.consumed > 0) continue;
    if (input.empty()) return out + "<cut>";
    waiting += input.substr(0, piece);
    input.remove_prefix(std::min(piece, input.size()));
  }
  return out;
}

TEST(Chunks, AnySplitGivesTheSameBody) {
  const std::string_view text = "5;ext=1\r\nhello\r\nB\r\n, chunks yo\r\n0\r\nTrailer: x\r\n\r\n";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) EXPECT_EQ(decoded(text, piece), "hello, chunks yo");
  EXPECT_EQ(decoded("5\r\nhel", 2), "hel<cut>");
}

TEST(Chunks, HostileFramingIsRefused) {
  for (const char* bad : {"-1\r\nx", "zz\r\n", "\r\n", "ffffffffffffffffff\r\n", "fffffffffff\r\n", "2\r\nabX\r\n"})
    EXPECT_THROW(decoded(bad, 100), Error) << bad;
  EXPECT_THROW(decoded(std::string(1000, '0'), 100), Error);
  EXPECT_THROW(decoded("0\r\n" + std::string(40'000, 'x'), 100'000), Error);
}

TEST(JsonStream, ValuesAcrossPieces) {
  JsonStream stream;
  for (const char c : std::string_view("{\"a\":1}\r\n{\"b\":[2]}{\"c\":3}\n")) stream.feed(std::string_view(&c, 1));
  EXPECT_EQ(json::serialize(*stream.next()), "{\"a\":1}");
  EXPECT_EQ(json::serialize(*stream.next()), "{\"b\":[2]}");
  EXPECT_EQ(json::serialize(*stream.next()), "{\"c\":3}");
  EXPECT_FALSE(stream.next());
  EXPECT_THROW(stream.feed("nonsense"), Error);
}

TEST(JsonStream, SizeAndDepthAreBounded) {
  JsonStream deep;
  EXPECT_THROW(deep.feed(std::string(1000, '[')), Error);
  JsonStream large;
  const auto feed_much = [&] {
    large.feed("\"");
    for (int i = 0; i < 100; ++i) large.feed(std::string(100'000, 'x'));
  };
  EXPECT_THROW(feed_much(), Error);
}

// A daemon of one connection that sends a canned answer for each request head it reads.
class FakeDaemon {
 public:
  explicit FakeDaemon(std::vector<std::string> answers) {
    std::array<int, 2> pair{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()), 0);
    client_ = UniqueFd(pair[0]);
    thread_ = std::thread([this, fd = pair[1], answers = std::move(answers)] { serve(UniqueFd(fd), answers); });
  }
  ~FakeDaemon() { thread_.join(); }
  Connection connection() { return Connection(plain_transport(std::move(client_)), "localhost"); }
  const std::string& seen() const { return seen_; }

 private:
  void serve(UniqueFd fd, const std::vector<std::string>& answers) {
    const auto transport = plain_transport(std::move(fd));
    for (const std::string& answer : answers) {
      const std::size_t before = seen_.size();
      while (seen_.find("\r\n\r\n", before) == std::string::npos) {
        std::array<char, 4096> block;
        const std::size_t got = transport->read(block);
        if (got == 0) return;
        seen_.append(block.data(), got);
      }
      transport->write(answer);
    }
  }

  UniqueFd client_;
  std::thread thread_;
  std::string seen_;
};

std::string body_of(Connection& connection) {
  std::string out;
  std::array<char, 7> block;
  while (const std::size_t got = connection.read(block)) out.append(block.data(), got);
  return out;
}

Request get(std::string target) {
  Request request;
  request.target = std::move(target);
  return request;
}

TEST(Connection, KeepsAliveOverLengthsAndChunks) {
  FakeDaemon daemon({"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                     "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nrest"});
  Connection connection = daemon.connection();
  EXPECT_EQ(connection.exchange(get("/1")).status, 200);
  EXPECT_EQ(body_of(connection), "hello");
  EXPECT_TRUE(connection.reusable());
  connection.exchange(get("/2"));
  EXPECT_FALSE(connection.reusable());
  EXPECT_EQ(body_of(connection), "abc");
  EXPECT_EQ(connection.exchange(get("/3")).status, 204);
  EXPECT_EQ(body_of(connection), "");
  connection.exchange(get("/4"));
  EXPECT_EQ(body_of(connection), "rest");
  EXPECT_FALSE(connection.reusable());
}

TEST(Connection, AnUpgradedConnectionIsRaw) {
  FakeDaemon daemon({"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly"});
  Connection connection = daemon.connection();
  Request request = get("/attach");
  request.upgrade = true;
  EXPECT_EQ(connection.exchange(request).status, 101);
  EXPECT_EQ(body_of(connection), "early");
}

TEST(Connection, AnAnswerCutShortIsAnError) {
  FakeDaemon daemon({"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"});
  Connection connection = daemon.connection();
  connection.exchange(get("/"));
  EXPECT_THROW(body_of(connection), Error);
}

TEST(Connection, AnEndlessHeadIsRefused) {
  FakeDaemon daemon({"HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x')});
  Connection connection = daemon.connection();
  EXPECT_THROW(connection.exchange(get("/")), Error);
}

// Both sides send more than the socket buffers hold; neither may wait for the other to finish.
TEST(Connection, UploadAndAnswerDoNotBlockEachOther) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()), 0);
  static constexpr std::size_t kSize = 4 << 20;
  std::thread daemon([fd = pair[1]] {
    const auto transport = plain_transport(UniqueFd(fd));
    transport->write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kSize) + "\r\n\r\n");
    transport->write(std::string(kSize, 'd'));
    std::string seen;
    std::array<char, 65536> block;
    while (seen.find("0\r\n\r\n") == std::string::npos) {
      const std::size_t got = transport->read(block);
      if (got == 0) break;
      seen.append(block.data(), got);
    }
    EXPECT_GT(seen.size(), kSize);
  });
  Connection connection(plain_transport(UniqueFd(pair[0])), "localhost");
  Request request;
  request.method = "POST";
  request.target = "/images/load";
  request.source = [left = kSize](std::span<char> into) mutable {
    const std::size_t size = std::min(left, into.size());
    std::fill_n(into.data(), size, 'u');
    left -= size;
    return size;
  };
  connection.exchange(request);
  EXPECT_EQ(body_of(connection).size(), kSize);
  connection.finish_upload();
  daemon.join();
}

}  // namespace
}  // namespace bryo::cli

// Hostile and broken clients: limits, ambiguity, time-outs (security.md 3.5, HTTP row; D14).
#include <gmock/gmock.h>
#include <openssl/ssl.h>

#include <fstream>

#include "api/test_server.hpp"

namespace bryo::api {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;
using namespace std::string_literals;

struct ServerLimits : testing::Test {
  ServerOptions options;
  std::unique_ptr<TestServer> host;

  void make() {
    Router router;
    router.add(Method::get, "/ok", [](Request&) { return Reply::text(200, "text/plain", "OK"); });
    router.add(Method::post, "/ok", [](Request&) { return Reply::text(200, "text/plain", "OK"); });
    host = std::make_unique<TestServer>(std::move(router), options);
  }
  TestClient start() {
    if (!host) {
      make();
      host->start();
    }
    return host->connect();
  }
  // What the server says to these bytes before it closes.
  std::string refused(std::string_view bytes) {
    auto client = start();
    client.send(bytes);
    return client.read_to_end();
  }
  void expect_alive() {
    auto client = start();
    client.send("GET /ok HTTP/1.1\r\nHost: d\r\n\r\n");
    EXPECT_THAT(client.read_reply(), StartsWith("HTTP/1.1 200 "));
  }
};

TEST_F(ServerLimits, Ambiguity_IsRefusedAndTheConnectionClosed) {
  const std::string cases[] = {
      "POST /ok HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST /ok HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
      "POST /ok HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
      "POST /ok HTTP/1.1\r\nHost: d\r\nContent-Length: 3, 4\r\n\r\nabcd",
      "POST /ok HTTP/1.1\r\nHost: d\r\nContent-Length: -3\r\n\r\nabcd",
      "POST /ok HTTP/1.1\r\nHost: d\r\nContent-Length: +3\r\n\r\nabcd",
      "POST /ok HTTP/1.1\r\nHost: d\r\nContent-Length: 99999999999999999999\r\n\r\nabcd",
      "POST /ok HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
      "POST /ok HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n",
      "POST /ok HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
      "GET /ok HTTP/1.1\r\nHost: d\r\nX: a\r\n folded\r\n\r\n",
      "GET /ok HTTP/1.1\nHost: d\n\n",
      "GET /ok HTTP/1.1\r\nHost: d\nX: y\r\n\r\n",
      "GET /ok HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
      "GET /ok HTTP/1.1\r\n\r\n",
      "GET /ok\r\n",
      "GET /ok HTTP/1.1\r\nHost: d\r\nX: a\0b\r\n\r\n"s,
      "GET /o\0k HTTP/1.1\r\nHost: d\r\n\r\n"s,
      "\x16\x03\x01\x02",
      "GET /ok HTTP/1.1\r\nHost: d\r\nbad name: x\r\n\r\n",
  };
  for (const std::string& bytes : cases) {
    SCOPED_TRACE(bytes);
    EXPECT_THAT(refused(bytes), StartsWith("HTTP/1.1 400 "));
  }
  EXPECT_THAT(refused("GET /ok HTTP/2.0\r\nHost: d\r\n\r\n"), StartsWith("HTTP/1.1 505 "));
  EXPECT_THAT(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), StartsWith("HTTP/1.1 505 "));
  EXPECT_THAT(refused("POST /ok HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
              StartsWith("HTTP/1.1 501 "));
  EXPECT_THAT(refused("POST /ok HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nExpect: tea\r\n\r\n"),
              StartsWith("HTTP/1.1 417 "));
  expect_alive();
}

TEST_F(ServerLimits, Paths_ThatCouldMeanTwoThingsAre4xx) {
  auto client = start();
  for (const char* path : {"/%2e%2e/ok", "/a/../ok", "/v1.24/../ok", "/ok%00", "/ok%", "/%zz", "ok", "*"}) {
    SCOPED_TRACE(path);
    client.send(fmt::format("GET {} HTTP/1.1\r\nHost: d\r\n\r\n", path));
    EXPECT_THAT(client.read_reply(), StartsWith("HTTP/1.1 400 "));
  }
  client.send("GET //ok HTTP/1.1\r\nHost: d\r\n\r\n");
  EXPECT_THAT(client.read_reply(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerLimits, Header_TooManyOrTooLargeIs431) {
  std::string many = "GET /ok HTTP/1.1\r\nHost: d\r\n";
  for (int i = 0; i < 10000; ++i) many += "a:b\r\n";
  EXPECT_THAT(refused(many + "\r\n"), StartsWith("HTTP/1.1 431 "));
  auto client = start();
  client.send("GET /ok HTTP/1.1\r\nHost: d\r\nX: ");
  const std::string piece(1 << 20, 'x');
  bool open = true;
  for (int i = 0; i < 100 && open; ++i) open = client.send(piece);
  EXPECT_FALSE(open) << "100 MiB of header were read";
  client.read_until("\r\n\r\n");
  auto line = start();
  line.send("GET /" + std::string(1 << 20, 'a') + " HTTP/1.1\r\nHost: d\r\n\r\n");
  line.read_until("\r\n\r\n");
  EXPECT_THAT(line.received(), StartsWith("HTTP/1.1 431 "));
  expect_alive();
}

TEST_F(ServerLimits, Body_AboveTheLimitIs413) {
  options.limits.body_bytes = 1000;
  EXPECT_THAT(refused("POST /ok HTTP/1.1\r\nHost: d\r\nContent-Length: 1001\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(refused("POST /ok HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" +
                      std::string(1001, 'x') + "\r\n"),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(refused("POST /ok HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(9000, 'x')),
              StartsWith("HTTP/1.1 400 "));
}

TEST_F(ServerLimits, Slowloris_IsCutOff) {
  options.head_time = 200ms;
  auto client = start();
  client.send("GET /ok HTTP/1.1\r\nHost: ");
  const auto begin = std::chrono::steady_clock::now();
  while (client.send("x") && std::chrono::steady_clock::now() - begin < 10s) client.read_until("\r\n\r\n", 20);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s) << "a byte now and then does not buy more time";
  auto silent = start();
  EXPECT_EQ(silent.read_to_end(), "");
}

TEST_F(ServerLimits, Idle_KeptAliveLongerThanAHeadMayTake) {
  options.head_time = 200ms;
  options.idle_time = 60s;
  auto client = start();
  client.send("GET /ok HTTP/1.1\r\nHost: d\r\n\r\n");
  client.read_reply();
  EXPECT_FALSE(client.read_until("never", 600));
  client.send("GET /ok HTTP/1.1\r\nHost: d\r\n\r\n");
  EXPECT_THAT(client.read_reply(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerLimits, SilentConnections_CannotShutOthersOut) {
  options.max_connections = 20;
  std::vector<TestClient> silent;
  for (int i = 0; i < 200; ++i) {
    silent.push_back(start());
    silent.back().send("GET ");
  }
  expect_alive();
  const auto begin = std::chrono::steady_clock::now();
  while (host->server().connections() > 21 && std::chrono::steady_clock::now() - begin < 10s) expect_alive();
  EXPECT_LE(host->server().connections(), 21U);
}

TEST_F(ServerLimits, RebindingAndCrossOrigin_AreRefusedOnTcpOnly) {
  options.allowed_hosts = {"build-1"};
  make();
  const unsigned short port = host->listen_tcp(false);
  host->start();
  const auto status = [&](UniqueFd fd, std::string_view headers) {
    TestClient client(std::move(fd));
    client.send(fmt::format("GET /ok HTTP/1.1\r\n{}\r\n", headers));
    return client.read_reply().substr(9, 3);
  };
  EXPECT_EQ(status(connect_tcp(port), "Host: 127.0.0.1:2375\r\n"), "200");
  EXPECT_EQ(status(connect_tcp(port), "Host: [::1]:2375\r\n"), "200");
  EXPECT_EQ(status(connect_tcp(port), "Host: localhost\r\n"), "200");
  EXPECT_EQ(status(connect_tcp(port), "Host: BUILD-1:2375\r\n"), "200");
  EXPECT_EQ(status(connect_tcp(port), "Host: evil.example\r\n"), "403");
  EXPECT_EQ(status(connect_tcp(port), "Host: 127.0.0.1.evil.example\r\n"), "403");
  EXPECT_EQ(status(connect_tcp(port), "Host: localhost\r\nOrigin: https://evil.example\r\n"), "403");
  EXPECT_EQ(status(connect_unix(host->directory() + "/s"), "Host: evil.example\r\n"), "200");
}

// Certificates made on the spot: an authority, a server and a client.
struct ServerTls : ServerLimits {
  std::string directory;

  void SetUp() override {
    make();
    directory = host->directory();
    const std::string script =
        "cd " + directory +
        " && exec >/dev/null 2>&1"
        " && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj "
        "/CN=ca"
        " && for n in server client stranger; do openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        " -keyout $n.key -out $n.csr -subj /CN=$n || exit 1; done"
        " && for n in server client; do openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial"
        " -out $n.pem || exit 1; done"
        " && openssl x509 -req -in stranger.csr -signkey stranger.key -out stranger.pem";
    if (std::system(script.c_str()) != 0) GTEST_SKIP() << "the openssl program is not there to make certificates";
  }
  // The reply to one request through TLS, or what failed. `certificate` "" presents none.
  std::string ask(unsigned short port, const std::string& certificate, bool close_first = false) {
    std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    if (!certificate.empty()) {
      SSL_CTX_use_certificate_file(context.get(), (directory + "/" + certificate + ".pem").c_str(), SSL_FILETYPE_PEM);
      SSL_CTX_use_PrivateKey_file(context.get(), (directory + "/" + certificate + ".key").c_str(), SSL_FILETYPE_PEM);
    }
    const UniqueFd fd = connect_tcp(port);
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
    SSL_set_fd(ssl.get(), fd.get());
    if (SSL_connect(ssl.get()) != 1) return "no handshake";
    const std::string request =
        std::string("GET /ok HTTP/1.1\r\nHost: any.name\r\n") + (close_first ? "Connection: close\r\n\r\n" : "\r\n");
    if (SSL_write(ssl.get(), request.data(), static_cast<int>(request.size())) <= 0) return "no request";
    std::string reply;
    char buffer[4096];
    while (close_first || reply.find("OK", 20) == std::string::npos) {
      const int got = SSL_read(ssl.get(), buffer, sizeof buffer);
      if (got <= 0) return SSL_get_error(ssl.get(), got) == SSL_ERROR_ZERO_RETURN ? reply + "<closed>" : "no reply";
      reply.append(buffer, static_cast<std::size_t>(got));
    }
    return reply;
  }
  TlsFiles files(bool verify) {
    return {directory + "/ca.pem", directory + "/server.pem", directory + "/server.key", verify};
  }
};

TEST_F(ServerTls, Verify_AdmitsOnlyClientsOfTheAuthority) {
  ::signal(SIGPIPE, SIG_IGN);
  host->server().use_tls(files(true));
  const unsigned short port = host->listen_tcp(true);
  host->start();
  EXPECT_THAT(ask(port, "client"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(ask(port, "client", true), testing::EndsWith("OK<closed>")) << "the end is announced, not just there";
  EXPECT_THAT(ask(port, ""), StartsWith("no "));
  EXPECT_THAT(ask(port, "stranger"), StartsWith("no "));
  TestClient plain(connect_tcp(port));
  plain.send("GET /ok HTTP/1.1\r\nHost: d\r\n\r\n");
  EXPECT_THAT(plain.read_to_end(), HasSubstr("Client sent an HTTP request to an HTTPS server."));
}

TEST_F(ServerTls, WithoutVerify_AdmitsEveryone) {
  host->server().use_tls(files(false));
  const unsigned short port = host->listen_tcp(true);
  host->start();
  EXPECT_THAT(ask(port, ""), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerTls, MissingFile_IsNamed) {
  TlsFiles missing = files(true);
  missing.certificate = "/nowhere/cert.pem";
  try {
    host->server().use_tls(missing);
    FAIL() << "accepted a certificate that is not there";
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), HasSubstr("/nowhere/cert.pem"));
  }
}

}  // namespace
}  // namespace bryo::api

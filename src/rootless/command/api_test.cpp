#include "rootless/command/api.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "rootless/command/copy_up.hpp"
#include "rootless/command/evacuate.hpp"

namespace bryo::rootless::command {
namespace {

using testing::HasSubstr;

// Without a helper: what needs none.
class RootlessApi : public testing::Test {
 protected:
  HttpReply ask(const std::string& method, const std::string& target, const std::string& body = "") {
    return api_.answer({method, target, body, true});
  }
  Options options_ = Options::parse({"--net=slirp4netns", "--port-driver=builtin", "true"});
  Ports ports_{nullptr};
  Api api_{options_, {"/state", 178, {"10.0.2.3", "10.0.2.100"}}, ports_};
};

TEST_F(RootlessApi, Info) {
  const HttpReply reply = ask("GET", "/v1/info");
  EXPECT_EQ(reply.status, 200U);
  EXPECT_EQ(reply.body, R"({"apiVersion":"1.1.1","version":")" BRYO_VERSION R"(","stateDir":"/state","childPID":178,)"
                        R"("networkDriver":{"driver":"slirp4netns","dns":["10.0.2.3"],"childIP":"10.0.2.100"},)"
                        R"("portDriver":{"driver":"builtin","protos":["tcp","tcp4","tcp6","udp","udp4","udp6"]}})");
}

TEST_F(RootlessApi, NoPortsAtFirst) { EXPECT_EQ(ask("GET", "/v1/ports").body, "[]"); }

TEST_F(RootlessApi, ErrorsAreMessages) {
  for (const char* body : {"{}", "", "[]", "{", R"({"proto":"tcp","parentPort":1})"}) {
    const HttpReply reply = ask("POST", "/v1/ports", body);
    EXPECT_EQ(reply.status, 400U) << body;
    EXPECT_THAT(reply.body, HasSubstr(R"({"message":")")) << body;
  }
  EXPECT_THAT(ask("POST", "/v1/ports", R"({"proto":"tcp","parentPort":80,"childPort":80})").body,
              HasSubstr("--port-driver=builtin"));
  EXPECT_THAT(ask("DELETE", "/v1/ports/9").body, HasSubstr("unknown id: 9"));
  EXPECT_EQ(ask("DELETE", "/v1/ports/x").status, 400U);
}

TEST_F(RootlessApi, OtherPathsAndMethods) {
  EXPECT_EQ(ask("GET", "/v1/nope").status, 404U);
  EXPECT_EQ(ask("GET", "/").status, 404U);
  EXPECT_EQ(ask("POST", "/v1/info").status, 405U);
  EXPECT_EQ(ask("GET", "/v1/info?x=y").status, 200U);
}

TEST(RootlessHttp, RequestsInPiecesAndInARow) {
  HttpReader reader;
  reader.feed("POST /v1/ports HTTP/1.1\r\nHost: rootlesskit\r\nContent-Le");
  EXPECT_FALSE(reader.take());
  reader.feed("ngth: 4\r\n\r\n{}{");
  EXPECT_FALSE(reader.take());
  reader.feed("}GET /v1/info HTTP/1.1\r\nConnection: close\r\n\r\n");
  const auto first = reader.take();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->method, "POST");
  EXPECT_EQ(first->body, "{}{}");
  EXPECT_TRUE(first->keep_alive);
  const auto second = reader.take();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->target, "/v1/info");
  EXPECT_FALSE(second->keep_alive);
  EXPECT_FALSE(reader.take());
}

TEST(RootlessHttp, RefusesWhatIsNotHttpAndWhatIsTooLong) {
  EXPECT_THROW(HttpReader().feed("\x16\x03\x01 hello\r\n\r\n"), Error);
  EXPECT_THROW(HttpReader().feed("GET / HTTP/1.1\r\nx: " + std::string(100000, 'x')), Error);
  HttpReader reader;
  EXPECT_THROW(reader.feed("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\nx"), Error);
}

TEST(RootlessHttp, Replies) {
  const std::string text = to_bytes({201, "{}"}, true);
  EXPECT_THAT(text, HasSubstr("HTTP/1.1 201 Created\r\n"));
  EXPECT_THAT(text, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_THAT(text, HasSubstr("Content-Length: 2\r\n\r\n{}"));
  EXPECT_THAT(to_bytes({200, ""}, false), HasSubstr("Connection: close\r\n"));
}

TEST(RootlessResolvConf, KeepsSearchAndOptionsOfTheHost) {
  EXPECT_EQ(resolv_conf_text("# x\nnameserver 192.0.2.53\nsearch example.org\n options ndots:2\n", "10.0.2.3"),
            "nameserver 10.0.2.3\nsearch example.org\noptions ndots:2\n");
  EXPECT_EQ(resolv_conf_text("", "10.0.2.3"), "nameserver 10.0.2.3\n");
}

TEST(RootlessEvacuation, PathOfTheUnifiedHierarchy) {
  EXPECT_EQ(unified_path("1:cpu:/x\n0::/user.slice/a\n"), "/user.slice/a");
  EXPECT_EQ(unified_path("1:cpu:/x\n"), "");
}

}  // namespace
}  // namespace bryo::rootless::command

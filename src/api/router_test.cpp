#include "api/router.hpp"

#include <gmock/gmock.h>

#include "base/error.hpp"

namespace bryo::api {
namespace {

Handler answer(const char* text) {
  return [text](Request&) { return Reply::text(200, "text/plain", text); };
}

struct RouterTest : testing::Test {
  Router router;

  // "<which route>(<parameters>)" or the error's text.
  std::string go(Method method, std::string target) {
    Request request;
    request.method = method;
    request.target = std::move(target);
    try {
      std::string out = std::get<std::string>(router.match(request).handler(request).body) + "(";
      for (const auto& [name, value] : request.parameters) out += name + "=" + value + ";";
      return out + ")" + request.version.str();
    } catch (const Error& error) {
      return fmt::format("{}: {}", to_string(error.kind()), error.message());
    }
  }
};

TEST_F(RouterTest, FindsByMethodAndPattern_WithAndWithoutVersion) {
  router.add(Method::get, "/containers/json", answer("list"));
  router.add(Method::get, "/containers/{id}/json", answer("inspect"));
  router.add(Method::del, "/containers/{id}", answer("remove"));
  EXPECT_EQ(go(Method::get, "/containers/json"), "list()1.47");
  EXPECT_EQ(go(Method::get, "/v1.24/containers/json?all=1"), "list()1.24");
  EXPECT_EQ(go(Method::get, "/v1.40/containers/web/json"), "inspect(id=web;)1.40");
  EXPECT_EQ(go(Method::get, "/v1.40/containers//web/json"), "inspect(id=web;)1.40");
  EXPECT_EQ(go(Method::del, "/containers/we%62"), "remove(id=web;)1.47");
  EXPECT_EQ(go(Method::post, "/containers/json"), "not_found: page not found");
  EXPECT_EQ(go(Method::get, "/containers/a/b/json"), "not_found: page not found");
  EXPECT_EQ(go(Method::get, "/"), "not_found: page not found");
  EXPECT_EQ(go(Method::get, "/v1.40"), "not_found: page not found");
}

TEST_F(RouterTest, GreedyNamesTakeSlashes) {
  router.add(Method::get, "/images/{name...}/json", answer("inspect"));
  router.add(Method::post, "/images/{name...}/push", answer("push"));
  router.add(Method::del, "/images/{name...}", answer("remove"));
  EXPECT_EQ(go(Method::get, "/images/library/busybox/json"), "inspect(name=library/busybox;)1.47");
  EXPECT_EQ(go(Method::post, "/images/127.0.0.1:5000/hello/push"), "push(name=127.0.0.1:5000/hello;)1.47");
  EXPECT_EQ(go(Method::del, "/images/a/b/c:d"), "remove(name=a/b/c:d;)1.47");
  EXPECT_EQ(go(Method::del, "/images/a%2Fb"), "remove(name=a/b;)1.47");
  EXPECT_EQ(go(Method::get, "/images/json"), "not_found: page not found");
}

TEST_F(RouterTest, Versions_OutsideOursAreRefusedInDockersWords) {
  router.add(Method::get, "/info", answer("info"));
  EXPECT_EQ(go(Method::get, "/v1.99/info"),
            "invalid_argument: client version 1.99 is too new. Maximum supported API version is 1.47");
  EXPECT_EQ(go(Method::get, "/v1.12/info"),
            "invalid_argument: client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade "
            "your client to a newer version");
  EXPECT_EQ(go(Method::get, "/v999/info"),
            "invalid_argument: client version 999 is too new. Maximum supported API version is 1.47");
  EXPECT_THAT(go(Method::get, "/v0/info"), testing::HasSubstr("client version 0 is too old"));
  EXPECT_EQ(go(Method::get, "/vx/info"), "not_found: page not found");
  EXPECT_EQ(go(Method::get, "/v1..2/info"), "not_found: page not found");
}

TEST(Query, FlagsAreDockers) {
  const Query query = Query::parse("a=1&b=0&c=False&d&e=no&f=none&g=yes&h=%20TRUE");
  EXPECT_TRUE(query.flag("a"));
  EXPECT_FALSE(query.flag("b"));
  EXPECT_FALSE(query.flag("c"));
  EXPECT_FALSE(query.flag("d"));
  EXPECT_FALSE(query.flag("e"));
  EXPECT_FALSE(query.flag("f"));
  EXPECT_TRUE(query.flag("g"));
  EXPECT_TRUE(query.flag("h"));
  EXPECT_TRUE(query.flag_or("absent", true));
  EXPECT_FALSE(query.flag_or("b", true));
}

TEST(Query, IntegersAreWholeNumbersInRange) {
  const Query query = Query::parse("n=42&minus=-1&big=9223372036854775808&text=4x&empty=");
  EXPECT_EQ(query.integer("n"), 42);
  EXPECT_EQ(query.integer("minus"), -1);
  EXPECT_EQ(query.integer("empty"), std::nullopt);
  EXPECT_EQ(query.integer("absent"), std::nullopt);
  EXPECT_THROW(query.integer("big"), Error);
  EXPECT_THROW(query.integer("text"), Error);
  EXPECT_THROW(query.integer("n", 0, 41), Error);
}

TEST(Query, DecodesAndKeepsRepeats) {
  const Query query = Query::parse("names=a%2Fb&names=c+d&x=%E2%82%AC");
  EXPECT_THAT(query.all("names"), testing::ElementsAre("a/b", "c d"));
  EXPECT_EQ(query.get("x"), "€");
  EXPECT_THROW(Query::parse("a=%zz"), Error);
  EXPECT_THROW(Query::parse("a=%00"), Error);
  EXPECT_THROW(Query::parse("a=%4"), Error);
}

TEST(Query, FiltersInBothForms) {
  const auto lists = Query::parse(R"(filters={"label":["a=b","c"],"name":[]})").filters();
  EXPECT_THAT(lists.at("label"), testing::ElementsAre("a=b", "c"));
  const auto maps = Query::parse(R"(filters={"label":{"a=b":true,"c":false}})").filters();
  EXPECT_THAT(maps.at("label"), testing::ElementsAre("a=b"));
  EXPECT_TRUE(Query::parse("").filters().empty());
  for (const char* bad :
       {"filters=[", "filters=[]", "filters={\"a\":1}", "filters={\"a\":[1]}", "filters={\"a\":{\"b\":2}}"})
    EXPECT_THROW(Query::parse(bad).filters(), Error) << bad;
}

}  // namespace
}  // namespace bryo::api

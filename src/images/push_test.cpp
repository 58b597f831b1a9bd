// Push against a registry that refuses, and pull and push against Debian's docker-registry with skopeo as the witness.
#include "images/push.hpp"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "images/pull_test_support.hpp"
#include "registry/testing/local_registry.hpp"

namespace bryo::images {
namespace {

using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;

using registry::testing::LocalRegistry;
using test::ImagesTest;
using test::Reply;
using test::SeenRequest;
using test::TestImage;
using test::TestRegistry;

class PushRefused : public ImagesTest {
 protected:
  std::string error_of(const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.message();
    }
    return "nothing was thrown";
  }
};

TEST_F(PushRefused, WhatIsNotHereReadsAsDockerSaysIt) {
  EXPECT_EQ(error_of([&] { push("x.test/a:b"); }), "An image does not exist locally with the tag: x.test/a");
  TestRegistry hub;
  hub.put("latest", TestImage());
  pull(hub.server().domain() + "/a:latest");
  EXPECT_EQ(error_of([&] { push(hub.server().domain() + "/a:other"); }),
            "tag does not exist: " + hub.server().domain() + "/a:other");
}

// The lab's second step: the registry runs as a user that may not write its own directory.
TEST_F(PushRefused, ARegistryThatCannotWriteIsTriedAgainAloud) {
  TestRegistry hub;
  hub.put("latest", TestImage(1));
  pull(hub.server().domain() + "/a:latest");
  test::EvilServer broken([](const SeenRequest& request) {
    return request.method == "HEAD"
               ? Reply{.status = 404}
               : Reply{.status = 500, .body = R"({"errors":[{"code":"UNKNOWN","message":"unknown error"}]})"};
  });
  store_->tag(hub.server().domain() + "/a:latest", broken.domain() + "/hello", "user");
  std::atomic<bool> cancelled = false;
  PushRequest request;
  request.reference = Reference::parse(broken.domain() + "/hello:user");
  EXPECT_EQ(error_of([&] {
              pusher_->push(
                  *store_, request,
                  [&](const ProgressEvent& event) {
                    note(event);
                    if (event.status.starts_with("Retrying in")) cancelled = true;
                  },
                  [&] { return cancelled.load(); });
            }),
            "context canceled");
  EXPECT_THAT(lines(), Contains("The push refers to repository [" + broken.domain() + "/hello]"));
  EXPECT_THAT(lines(), Contains(EndsWith(": Retrying in 1 second")));
}

TEST_F(PushRefused, DeniedIsNotTriedAgain) {
  TestRegistry hub;
  hub.put("latest", TestImage(1));
  pull(hub.server().domain() + "/a:latest");
  test::EvilServer closed([](const SeenRequest&) {
    return Reply{.status = 403,
                 .body = R"({"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]})"};
  });
  store_->tag(hub.server().domain() + "/a:latest", closed.domain() + "/hello", "x");
  EXPECT_THAT(error_of([&] { push(closed.domain() + "/hello:x"); }), HasSubstr("403"));
  EXPECT_EQ(closed.seen().size(), 1U) << "HEAD has no body to say DENIED";
}

class RealRegistry : public ImagesTest {
 protected:
  void SetUp() override {
    if (!LocalRegistry::available()) GTEST_SKIP() << "docker-registry is not installed";
    ImagesTest::SetUp();
    if (IsSkipped()) return;
    registry_ = std::make_unique<LocalRegistry>();
    ASSERT_TRUE(registry_->running());
  }
  std::string name(const std::string& rest) const { return registry_->domain() + "/" + rest; }

  // An image in the store that no registry has seen.
  void make_local(const std::string& tag, std::size_t layers = 2) {
    TestRegistry hub;
    hub.put("latest", TestImage(layers, 3, 100000));
    pull(hub.server().domain() + "/source:latest");
    store_->tag(hub.server().domain() + "/source:latest", Reference::parse(tag).name(), *Reference::parse(tag).tag());
    const std::lock_guard lock(events_mutex_);
    events_.clear();
  }
  std::string skopeo(const std::vector<std::string>& words) {
    const std::string output = (base_ / "skopeo.out").string();
    std::filesystem::remove(output);
    std::vector<std::string> all{"skopeo"};
    all.insert(all.end(), words.begin(), words.end());
    EXPECT_EQ(registry::testing::run(all, output), 0);
    std::stringstream text;
    text << std::ifstream(output).rdbuf();
    return text.str();
  }
  std::unique_ptr<LocalRegistry> registry_;
};

TEST_F(RealRegistry, PushedImagesComeBackWithTheSameDigest) {
  make_local(name("hello:userns"));
  const auto results = push(name("hello:userns"));
  ASSERT_EQ(results.size(), 1U);
  const std::string digest = results[0].digest.str();
  EXPECT_THAT(lines(), Contains(fmt::format("userns: digest: {} size: {}", digest, results[0].size)));
  EXPECT_THAT(lines(), Contains(EndsWith(": Pushed")));
  EXPECT_EQ(events_.back().aux.at("Digest").as_string(), digest);
  const auto id = store_->resolve(name("hello:userns")).id;
  for (const auto& image : store_->list())
    store_->remove(image.id.str(), true, false, [] { return std::vector<ImageUser>(); });
  EXPECT_TRUE(store_->list().empty());
  const auto back = pull(name("hello:userns"));
  EXPECT_EQ(back.digest.str(), digest);
  EXPECT_EQ(back.image_id, id);
}

TEST_F(RealRegistry, SkopeoAgreesAboutTheDigest) {
  if (!registry::testing::is_installed("skopeo")) GTEST_SKIP() << "skopeo is not installed";
  make_local(name("hello:x"));
  const auto results = push(name("hello:x"));
  EXPECT_THAT(skopeo({"inspect", "--tls-verify=false", "docker://" + name("hello:x")}),
              HasSubstr("\"Digest\": \"" + results[0].digest.str() + "\""));
  skopeo({"copy", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://" + name("hello:x"),
          "docker://" + name("copied:y")});
  EXPECT_EQ(pull(name("copied:y")).digest, results[0].digest);
}

TEST_F(RealRegistry, OciImagesFromSkopeoArePulledAndPushedUnchanged) {
  if (!registry::testing::is_installed("skopeo")) GTEST_SKIP() << "skopeo is not installed";
  make_local(name("hello:x"));
  push(name("hello:x"));
  skopeo({"copy", "--format", "oci", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://" + name("hello:x"),
          "docker://" + name("oci:x")});
  const auto pulled = pull(name("oci:x"));
  store_->tag(name("oci:x"), name("again"), "x");
  EXPECT_EQ(push(name("again:x"))[0].digest, pulled.digest);
}

TEST_F(RealRegistry, KnownLayersAreNotSent) {
  make_local(name("one:x"));
  push(name("one:x"));
  push(name("one:x"));
  EXPECT_THAT(lines(), Contains(EndsWith(": Layer already exists")));
  store_->tag(name("one:x"), name("two"), "x");
  push(name("two:x"));
  EXPECT_THAT(lines(), Contains(EndsWith(": Mounted from one")));
}

TEST_F(RealRegistry, RegistryThatDiesGivesAClearError) {
  make_local(name("hello:x"));
  registry_->stop();
  try {
    pull(name("hello:x"));
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), HasSubstr("dial tcp " + registry_->domain() + ": connect: connection refused"));
  }
}

}  // namespace
}  // namespace bryo::images

#include "images/pull.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <thread>

#include "images/pull_test_support.hpp"

namespace bryo::images {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

using test::ImagesTest;
using test::Reply;
using test::SeenRequest;
using test::TestImage;
using test::TestRegistry;

class Pull : public ImagesTest {
 protected:
  std::string name(const std::string& rest = "a/b:latest") { return hub_.server().domain() + "/" + rest; }
  TestRegistry hub_;
};

TEST_F(Pull, GivesTheImageAndDockersLines) {
  const TestImage image;
  hub_.put("latest", image);
  const PullResult result = pull(name());
  EXPECT_TRUE(result.updated);
  EXPECT_EQ(result.image_id, Digest::of(image.config));
  EXPECT_EQ(result.digest, Digest::of(image.manifest));
  const Image stored = store_->resolve(name());
  EXPECT_EQ(store_->manifest_text(stored), image.manifest);
  EXPECT_EQ(store_->config_text(stored.id), image.config);
  EXPECT_THAT(stored.digests, Contains(name("a/b@") + result.digest.str()));
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(blobs_->has(Digest::of(image.blobs[i])));
    EXPECT_TRUE(std::filesystem::exists(layers_->path_of(stored.chain_ids[i]) + fmt::format("/file1-{}", i)));
  }
  const auto said = lines();
  EXPECT_EQ(said.front(), "latest: Pulling from a/b");
  const std::string layer = Digest::of(image.blobs[1]).short_id() + ": ";
  for (const char* status : {"Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"})
    EXPECT_THAT(said, Contains(layer + status));
  for (const char* status : {"Downloading", "Extracting"})
    EXPECT_GE(std::ranges::count_if(events_,
                                    [&](const ProgressEvent& event) {
                                      return event.status == status && event.current == event.total && event.total > 0;
                                    }),
              2)
        << status;
  EXPECT_EQ(said[said.size() - 2], "Digest: " + result.digest.str());
  EXPECT_EQ(said.back(), "Status: Downloaded newer image for " + name());
}

TEST_F(Pull, TheSameAgainFetchesNothing) {
  hub_.put("latest", TestImage());
  pull(name());
  const auto before = hub_.count("/blobs/");
  EXPECT_FALSE(pull(name()).updated);
  EXPECT_EQ(hub_.count("/blobs/"), before);
  EXPECT_EQ(lines().back(), "Status: Image is up to date for " + name());
}

TEST_F(Pull, SharedLayersAreFetchedOnce) {
  TestImage first;
  TestImage second(3);  // the same two below
  hub_.put("one", first);
  hub_.put("two", second);
  pull(name("a/b:one"));
  pull(name("a/b:two"));
  EXPECT_EQ(hub_.count(Digest::of(first.blobs[0]).str()), 1U);
  EXPECT_THAT(lines(), Contains(Digest::of(first.blobs[0]).short_id() + ": Already exists"));
}

TEST_F(Pull, SurvivesARestartOfTheStore) {
  const TestImage image;
  hub_.put("latest", image);
  const auto id = pull(name()).image_id;
  store_.reset();
  reopen();
  store_ = std::make_unique<ImageStore>(*root_, *documents_, *blobs_, *layers_, snapshots_);
  EXPECT_EQ(store_->resolve(name()).id, id);
  EXPECT_TRUE(blobs_->has(Digest::of(image.blobs[0])));
}

TEST_F(Pull, AllTags) {
  hub_.put("one", TestImage(1, 1));
  hub_.put("two", TestImage(1, 2));
  pull(name("a/b"), {}, true);
  EXPECT_EQ(store_->list().size(), 2U);
  EXPECT_EQ(lines().back(), "Status: Downloaded newer image for " + name("a/b"));
}

TEST_F(Pull, ByDigestGivesNoTag) {
  const TestImage image;
  hub_.put("latest", image);
  const std::string full = name("a/b@") + Digest::of(image.manifest).str();
  pull(full);
  EXPECT_TRUE(store_->resolve(full).tags.empty());
}

TEST_F(Pull, IndexGivesThisPlatform) {
  TestImage image;
  hub_.put("x", image);
  TestImage foreign(1, 9);
  hub_.put("y", foreign);
  oci::Index index;
  index.media_type = oci::media::kOciIndex;
  for (const auto& [one, architecture] :
       {std::pair(&foreign, std::string("s390x")), std::pair(&image, oci::Platform::host().architecture)}) {
    auto entry = TestImage::descriptor(one->manifest, oci::media::kDockerManifest);
    entry.platform = oci::Platform{architecture, "linux", "", {}, ""};
    index.manifests.push_back(entry);
  }
  hub_.put_manifest("latest", oci::to_json(index), oci::media::kOciIndex);
  const auto result = pull(name());
  EXPECT_EQ(result.image_id, Digest::of(image.config));
  EXPECT_EQ(result.digest, Digest::of(oci::to_json(index))) << "the digest that people see is the index's";
  index.manifests.pop_back();
  hub_.put_manifest("other", oci::to_json(index), oci::media::kOciIndex);
  EXPECT_EQ(pull_error(name("a/b:other")),
            "no matching manifest for " + oci::Platform::host().str() + " in the manifest list entries");
}

TEST_F(Pull, MissingImageReadsAsDockerSaysIt) {
  EXPECT_EQ(pull_error(name("a/b:x")),
            "manifest for " + name("a/b:x") + " not found: manifest unknown: manifest unknown");
  expect_empty();
}

TEST_F(Pull, CVE_2021_41190_DocumentsWithTwoMeaningsAreRefused) {
  const TestImage image;
  std::string both = image.manifest;
  both.insert(1, R"("manifests":[],)");
  hub_.put_manifest("latest", both, oci::media::kDockerManifest);
  EXPECT_THAT(pull_error(name()), HasSubstr("manifest and an index at the same time"));
  hub_.put_manifest("typed", image.manifest, oci::media::kOciManifest);
  EXPECT_THAT(pull_error(name("a/b:typed")), HasSubstr("but it says"));
  expect_empty();
}

TEST_F(Pull, CyclicAndNestedIndexesAreRefused) {
  oci::Index inner;
  inner.media_type = oci::media::kOciIndex;
  oci::Index outer = inner;
  auto entry = TestImage::descriptor(oci::to_json(inner), oci::media::kOciIndex);
  entry.platform = oci::Platform::host();
  outer.manifests = {entry};
  hub_.put_manifest("inner", oci::to_json(inner), oci::media::kOciIndex);
  hub_.put_manifest("latest", oci::to_json(outer), oci::media::kOciIndex);
  EXPECT_THAT(pull_error(name()), HasSubstr("no matching manifest"));
  entry.media_type = oci::media::kDockerManifest;  // lies about what it is
  outer.manifests = {entry};
  hub_.put_manifest("liar", oci::to_json(outer), oci::media::kOciIndex);
  EXPECT_THAT(pull_error(name("a/b:liar")), HasSubstr("but it says"));
}

TEST_F(Pull, Schema1IsRefusedWithAReason) {
  hub_.put_manifest("latest", R"({"schemaVersion":1,"fsLayers":[],"history":[]})", oci::media::kDockerSchema1Signed);
  EXPECT_THAT(pull_error(name()), HasSubstr("schema 1"));
}

TEST_F(Pull, ArtifactsAreNoImages) {
  TestImage image;
  image.manifest.replace(image.manifest.find(oci::media::kDockerConfig), oci::media::kDockerConfig.size(),
                         "application/vnd.cncf.helm.config.v1+json");
  hub_.put("latest", image);
  EXPECT_THAT(pull_error(name()), HasSubstr("no container image"));
}

TEST_F(Pull, OtherOperatingSystemsAreRefused) {
  TestImage image;
  image.os = "windows";
  image.seal();
  hub_.put("latest", image);
  EXPECT_EQ(pull_error(name()), "image operating system \"windows\" cannot be used on this platform");
}

// Every way in which a layer can be wrong; after each the store is as before.
class WrongLayer : public Pull {
 protected:
  void refuse(const TestImage& image, const std::string& part) {
    hub_.put("latest", image);
    EXPECT_THAT(pull_error(name()), HasSubstr(part));
    expect_empty();
  }
};

TEST_F(WrongLayer, OtherBytesUnderTheSameDigest) {
  TestImage image;
  hub_.put("latest", image);
  const std::string other = test::gzip(image.tars[0] + std::string(512, '\0'));
  hub_.put_blob(Digest::of(image.blobs[1]).str(), {.body = other, .claimed_length = -2});
  EXPECT_NE(pull_error(name()), "nothing was thrown");
  expect_empty();
}

TEST_F(WrongLayer, CVE_2021_20291_TruncatedGzip) {
  TestImage image;
  image.blobs[1].resize(image.blobs[1].size() / 2);
  image.seal_manifest();
  refuse(image, "failed to register layer");
  // No lock stayed behind: another pull works at once.
  hub_.put("good", TestImage());
  pull(name("a/b:good"));
}

TEST_F(WrongLayer, CorruptGzip) {
  TestImage image;
  image.blobs[0][image.blobs[0].size() / 2] ^= 0x55;
  image.seal_manifest();
  refuse(image, "failed to register layer");
}

TEST_F(WrongLayer, NotTheDiffIdOfTheConfig) {
  TestImage image;
  image.tars[1] += std::string(512, '\0');
  image.seal();
  refuse(image, "failed to register layer");
}

TEST_F(WrongLayer, MoreLayersThanTheConfigKnows) {
  TestImage image;
  image.blobs.push_back(image.blobs[0]);
  image.seal_manifest();
  refuse(image, "layers from manifest don't match image configuration");
}

TEST_F(WrongLayer, MissingBlob) {
  TestImage image;
  hub_.put("latest", image);
  hub_.put_blob(Digest::of(image.blobs[0]).str(), {.status = 404});
  EXPECT_NE(pull_error(name()), "nothing was thrown");
  expect_empty();
}

TEST_F(WrongLayer, ConnectionsThatBreakAreNoHarm) {
  const TestImage image(2, 1, 200000);
  hub_.put("latest", image);
  std::atomic<int> calls = 0;
  const std::string digest = Digest::of(image.blobs[0]).str();
  hub_.put_blob(digest, {.body = image.blobs[0], .cut_after = 100000});
  hub_.on_request = [&](const SeenRequest& request) {
    if (request.target.find(digest) != std::string::npos && ++calls == 3)
      hub_.put_blob(digest, {.body = image.blobs[0]});
  };
  EXPECT_TRUE(pull(name()).updated);
  EXPECT_EQ(calls, 3);
}

// --- several at the same time

// Holds requests for blobs until `open` is called.
class Gate {
 public:
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return open_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

class SingleFlight : public Pull {
 protected:
  void SetUp() override {
    Pull::SetUp();
    if (IsSkipped()) return;
    hub_.put("latest", image_);
    hub_.on_request = [this](const SeenRequest& request) {
      if (request.target.find(Digest::of(image_.blobs[0]).str()) == std::string::npos) return;
      ++fetches_;
      fetched_.open();
      gate_.wait();
    };
  }
  // Both pulls have said "Pulling fs layer" when the gate opens, and a follower reports what its leader does.
  bool both_wait() {
    for (int i = 0; i < 500; ++i) {
      int count = 0;
      for (const std::string& line : lines()) count += line.ends_with("Pulling fs layer") ? 1 : 0;
      if (count == 2) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  TestImage image_{1, 1, 50000};
  Gate gate_;
  Gate fetched_;
  std::atomic<int> fetches_ = 0;
};

TEST_F(SingleFlight, TwoPullsShareOneDownload) {
  std::thread first([&] { EXPECT_TRUE(pull(name()).updated); });
  fetched_.wait();
  std::thread second([&] { pull(name()); });
  EXPECT_TRUE(both_wait());
  gate_.open();
  first.join();
  second.join();
  EXPECT_EQ(fetches_, 1);
  EXPECT_EQ(store_->list().size(), 1U);
}

TEST_F(SingleFlight, OneCancelledTheOtherGoesOn) {
  std::atomic<bool> cancelled = false;
  std::thread first([&] {
    try {
      pull(name(), [&] { return cancelled.load(); });
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::cancelled);
    }
  });
  fetched_.wait();
  std::thread second([&] { pull(name()); });
  EXPECT_TRUE(both_wait());
  cancelled = true;
  gate_.open();
  first.join();
  second.join();
  EXPECT_EQ(store_->list().size(), 1U);
}

TEST_F(SingleFlight, CancelledAloneLeavesNothing) {
  std::atomic<bool> cancelled = false;
  std::thread only([&] { EXPECT_THROW(pull(name(), [&] { return cancelled.load(); }), Error); });
  fetched_.wait();
  cancelled = true;
  only.join();
  gate_.open();
  expect_empty();
}

TEST(PullProgress, JsonAsClientsReadIt) {
  const auto text = [](const ProgressEvent& event) { return json::serialize(event.encode_json()); };
  EXPECT_EQ(text({.status = "Pulling from library/busybox", .id = "latest", .aux = nullptr}),
            R"({"status":"Pulling from library/busybox","id":"latest"})");
  EXPECT_EQ(text({.status = "Waiting", .id = "abc", .has_progress = true, .aux = nullptr}),
            R"({"status":"Waiting","progressDetail":{},"id":"abc"})");
  const std::string bar = "[" + std::string(25, '=') + ">" + std::string(25, ' ') + "]";
  EXPECT_EQ(text({.status = "Downloading",
                  .id = "abc",
                  .current = 524288,
                  .total = 1048576,
                  .has_progress = true,
                  .aux = nullptr}),
            R"({"status":"Downloading","progress":")" + bar +
                R"(  524.3kB/1.049MB","progressDetail":{"current":524288,"total":1048576},"id":"abc"})");
  EXPECT_EQ(text({.aux = json::Object{{"Tag", "x"}}}), R"({"progressDetail":{},"aux":{"Tag":"x"}})");
  EXPECT_EQ(human_size(0), "0B");
  EXPECT_EQ(human_size(999), "999B");
  EXPECT_EQ(human_size(1234567890), "1.235GB");
}

}  // namespace
}  // namespace bryo::images

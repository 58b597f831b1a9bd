// Tests only: images made in memory, a registry that serves them (and may lie), and a store of its own.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "images/image_store.hpp"
#include "images/pull.hpp"
#include "images/push.hpp"
#include "registry/testing/evil_server.hpp"
#include "storage/compression.hpp"
#include "storage/store_test_support.hpp"
#include "storage/tar_test_support.hpp"

namespace bryo::images::test {

using registry::testing::EvilServer;
using registry::testing::Reply;
using registry::testing::SeenRequest;

// No container exists in these tests.
class NoSnapshots final : public storage::SnapshotDriver {
 public:
  std::string_view name() const override { return "none"; }
  std::vector<std::pair<std::string, std::string>> status() const override { return {}; }
  void prepare(const storage::SnapshotName&, const std::optional<Digest>&, const ids::IdMaps&) override {}
  bool exists(const storage::SnapshotName&) const override { return false; }
  storage::RootfsDescription describe(const storage::SnapshotName&) const override { return {}; }
  UniqueFd mount_view(const storage::SnapshotName&, bool, std::vector<storage::ViewMount>) const override { return {}; }
  std::vector<storage::PathChange> changes(const storage::SnapshotName&) const override { return {}; }
  void export_diff(const storage::SnapshotName&, ByteSink&) const override {}
  storage::SnapshotUsage usage(const storage::SnapshotName&) const override { return {}; }
  void remove(const storage::SnapshotName&) override {}
  std::vector<Listed> list() const override { return {}; }
};

inline std::string gzip(const std::string& bytes) {
  StringSink sink;
  const auto encoder = storage::make_encoder(sink, storage::Compression::gzip);
  encoder->write(std::as_bytes(std::span(bytes)));
  encoder->finish();
  return sink.take();
}

// Does not compress, so that a blob is large enough to be broken in the middle.
inline std::string noise(std::size_t size, unsigned seed) {
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return out;
}

struct TestImage {
  std::vector<std::string> tars;
  std::vector<std::string> blobs;
  std::string config;
  std::string manifest;
  std::string os = "linux";
  std::string architecture = oci::Platform::host().architecture;

  explicit TestImage(std::size_t layers = 2, unsigned seed = 1, std::size_t size = 3000) {
    for (std::size_t i = 0; i < layers; ++i) {
      storage::test::RawTar tar;
      tar.add(
          {.name = fmt::format("file{}-{}", seed, i), .content = noise(size, seed * 100 + static_cast<unsigned>(i))});
      tars.push_back(tar.end());
      blobs.push_back(gzip(tars.back()));
    }
    seal();
  }
  // Config and manifest of what is here now.
  void seal() {
    oci::ImageConfig image;
    image.os = os;
    image.architecture = architecture;
    for (const std::string& tar : tars) image.rootfs.diff_ids.push_back(Digest::of(tar));
    config = oci::to_json(image);
    seal_manifest();
  }
  void seal_manifest() {
    oci::Manifest out;
    out.media_type = oci::media::kDockerManifest;
    out.config = descriptor(config, oci::media::kDockerConfig);
    for (const std::string& blob : blobs) out.layers.push_back(descriptor(blob, oci::media::kDockerLayerGzip));
    manifest = oci::to_json(out);
  }
  static oci::Descriptor descriptor(std::string_view bytes, std::string_view type) {
    oci::Descriptor out;
    out.media_type = std::string(type);
    out.digest = Digest::of(bytes);
    out.size = static_cast<std::int64_t>(bytes.size());
    return out;
  }
};

// Serves what was put into it, below any repository name.
class TestRegistry {
 public:
  TestRegistry() : server_([this](const SeenRequest& request) { return answer(request); }) {}

  void put(const std::string& tag, const TestImage& image) {
    put_manifest(tag, image.manifest, oci::media::kDockerManifest);
    const std::lock_guard lock(mutex_);
    blobs_[Digest::of(image.config).str()] = {.body = image.config};
    for (const std::string& blob : image.blobs) blobs_[Digest::of(blob).str()] = {.body = blob};
  }
  void put_manifest(const std::string& tag, const std::string& bytes, std::string_view type) {
    const std::lock_guard lock(mutex_);
    const Reply reply{.headers = {{"Content-Type", std::string(type)}}, .body = bytes};
    manifests_[tag] = reply;
    manifests_[Digest::of(bytes).str()] = reply;
  }
  void put_blob(const std::string& digest, Reply reply) {
    const std::lock_guard lock(mutex_);
    blobs_[digest] = std::move(reply);
  }
  // Called before an answer is given, from the connection's thread; may block.
  std::function<void(const SeenRequest&)> on_request;
  EvilServer& server() { return server_; }
  std::size_t count(const std::string& part) const {
    std::size_t count = 0;
    for (const SeenRequest& request : server_.seen()) count += request.target.find(part) != std::string::npos ? 1U : 0U;
    return count;
  }

 private:
  Reply answer(const SeenRequest& request) {
    if (on_request) on_request(request);
    const std::string path = request.path();
    const std::string last = path.substr(path.rfind('/') + 1);
    const std::lock_guard lock(mutex_);
    if (path.ends_with("/tags/list")) return {.body = tags()};
    const auto& map = path.find("/manifests/") != std::string::npos ? manifests_ : blobs_;
    const auto found = map.find(last);
    if (found != map.end()) return found->second;
    return {.status = 404, .body = R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})"};
  }
  std::string tags() const {
    json::Array list;
    for (const auto& [name, reply] : manifests_)
      if (!name.starts_with("sha256:")) list.emplace_back(name);
    return json::serialize(json::Object{{"tags", list}});
  }

  std::mutex mutex_;
  std::map<std::string, Reply> manifests_;  // guarded by mutex_
  std::map<std::string, Reply> blobs_;      // guarded by mutex_
  EvilServer server_;                       // last: it calls what is above
};

class ImagesTest : public storage::test::Store {
 protected:
  void SetUp() override {
    storage::test::Store::SetUp();
    if (IsSkipped()) return;
    store_ = std::make_unique<ImageStore>(*root_, *documents_, *blobs_, *layers_, snapshots_);
    puller_ = std::make_unique<Puller>(client_, *blobs_, *layers_);
    pusher_ = std::make_unique<Pusher>(client_, *blobs_, *layers_);
  }
  void TearDown() override {
    puller_.reset();
    pusher_.reset();
    store_.reset();
    storage::test::Store::TearDown();
  }

  static registry::RegistryOptions fast_options() {
    registry::RegistryOptions options;
    options.idle_timeout = std::chrono::seconds(2);
    options.first_backoff = std::chrono::milliseconds(1);
    return options;
  }
  PullResult pull(const std::string& name, const registry::Cancelled& cancelled = {}, bool all_tags = false) {
    PullRequest request;
    request.reference = Reference::parse(name);
    request.all_tags = all_tags;
    return puller_->pull(
        *store_, request, [this](const ProgressEvent& event) { note(event); }, cancelled);
  }
  std::vector<PushResult> push(const std::string& name, const registry::Cancelled& cancelled = {}) {
    PushRequest request;
    request.reference = Reference::parse(name);
    return pusher_->push(
        *store_, request, [this](const ProgressEvent& event) { note(event); }, cancelled);
  }
  std::string pull_error(const std::string& name) {
    try {
      pull(name);
    } catch (const Error& error) {
      return error.message();
    }
    return "nothing was thrown";
  }
  void note(const ProgressEvent& event) {
    const std::lock_guard lock(events_mutex_);
    events_.push_back(event);
  }
  // "id: status", without the lines that tell of progress.
  std::vector<std::string> lines() {
    const std::lock_guard lock(events_mutex_);
    std::vector<std::string> out;
    for (const ProgressEvent& event : events_)
      if (event.total == 0 && event.aux.is_null())
        out.push_back((event.id.empty() ? "" : event.id + ": ") + event.status);
    return out;
  }
  void expect_empty() {
    EXPECT_TRUE(store_->list().empty());
    EXPECT_TRUE(blobs_->list().empty() || (store_->collect_garbage(), blobs_->list().empty()));
    EXPECT_TRUE(layers_->list().empty());
    EXPECT_TRUE(clean());
  }

  NoSnapshots snapshots_;
  registry::Client client_{fast_options()};
  std::unique_ptr<ImageStore> store_;
  std::unique_ptr<Puller> puller_;
  std::unique_ptr<Pusher> pusher_;
  std::mutex events_mutex_;
  std::vector<ProgressEvent> events_;  // guarded by events_mutex_
};

}  // namespace bryo::images::test

#include "images/image_store.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "base/error.hpp"
#include "images/reference.hpp"
#include "storage/compression.hpp"
#include "storage/store_test_support.hpp"
#include "storage/tar_test_support.hpp"

namespace bryo::images {
namespace {

using storage::test::RawTar;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

class Images : public storage::test::Store {
 protected:
  void SetUp() override {
    Store::SetUp();
    if (!IsSkipped()) start();
  }
  void TearDown() override {
    stop();
    Store::TearDown();
  }
  void start() {
    driver_ = storage::make_snapshot_driver("overlay2", *root_, *documents_, *layers_);
    images_ = std::make_unique<ImageStore>(*root_, *documents_, *blobs_, *layers_, *driver_);
  }
  void stop() {
    images_.reset();
    driver_.reset();
  }
  void restart() {
    stop();
    reopen();
    start();
  }

  static std::string tar_of(const std::string& name, const std::string& content) {
    RawTar tar;
    tar.add({.name = name, .content = content});
    return tar.end();
  }
  Image import(const std::string& reference, const std::string& content = "base") {
    const std::string tar = tar_of("file", content);
    MemorySource source(tar);
    oci::RunConfig config;
    config.cmd = {{"sh"}};
    config.labels.emplace()["made"] = "here";
    return images_->import({reference, "message", config, oci::Platform::host()}, source);
  }
  Image commit(const Image& parent, const std::string& reference, const std::string& content = "more") {
    CommitInput input;
    input.parent = parent.id;
    input.config = images_->config_of(parent.id).config;
    input.created_by = "sh -c something";
    input.comment = "a comment";
    input.reference = reference;
    input.diff = [content](ByteSink& sink) { sink.write(tar_of("new", content)); };
    return images_->commit(input);
  }
  static ImageUsers nobody() {
    return [] { return std::vector<ImageUser>(); };
  }
  static ImageUsers user(const Digest& image, bool running) {
    return [=] { return std::vector<ImageUser>{{std::string(64, 'c'), image, running}}; };
  }
  std::string remove(const std::string& ref, bool force = false, const ImageUsers& users = nobody(),
                     bool no_prune = false) {
    std::string text;
    try {
      for (const Removed& one : images_->remove(ref, force, no_prune, users))
        text +=
            one.untagged.empty() ? "Deleted: " + one.deleted.substr(0, 7) + "\n" : "Untagged: " + one.untagged + "\n";
    } catch (const Error& error) {
      text = error.message();
    }
    return text;
  }
  std::string message_of(const std::string& ref) {
    try {
      images_->resolve(ref);
      return "found";
    } catch (const Error& error) {
      return error.message();
    }
  }
  std::vector<std::string> names(const Filters& filters = {}, bool all = false) {
    std::vector<std::string> out;
    for (const auto& summary : images_->summaries(all, filters, false))
      out.push_back(summary.repo_tags.empty() ? "<none>" : summary.repo_tags.front());
    return out;
  }
  std::vector<std::string> load(const std::string& archive, bool quiet = true) {
    std::vector<std::string> lines;
    MemorySource source(archive);
    images_->load(source, quiet, [&](const json::Value& line) {
      const auto& object = line.as_object();
      if (object.contains("stream")) lines.emplace_back(object.at("stream").as_string().c_str());
    });
    return lines;
  }
  bool nothing_stored() {
    images_->collect_garbage();
    return blobs_->list().empty() && layers_->list().empty() && clean();
  }

  std::unique_ptr<storage::SnapshotDriver> driver_;
  std::unique_ptr<ImageStore> images_;
};

TEST_F(Images, ImportMakesAnImageOfOneLayer) {
  const Image image = import("repo/name:tag");
  EXPECT_THAT(image.tags, ElementsAre("docker.io/repo/name:tag"));
  EXPECT_EQ(image.layers.size(), 1U);
  EXPECT_EQ(image.size, 4);
  const ImageInspect view = images_->inspect("repo/name:tag");
  EXPECT_EQ(view.id, image.id.str());
  EXPECT_EQ(view.repo_tags, std::vector<std::string>{"repo/name:tag"});
  EXPECT_EQ(view.config.cmd, std::vector<std::string>{"sh"});
  EXPECT_EQ(view.graph_driver.name, "overlay2");
  EXPECT_EQ(view.rootfs.layers.size(), 1U);
  EXPECT_EQ(images_->history("repo/name:tag").size(), 1U);
  EXPECT_EQ(images_->config_text(image.id).size(), static_cast<std::size_t>(blobs_->find(image.id)->size));
}

TEST_F(Images, CommitAddsALayerWithParentAndHistory) {
  const Image base = import("base");
  const Image image = commit(base, "made:1");
  EXPECT_EQ(image.parent, base.id);
  EXPECT_EQ(image.layers.size(), 2U);
  EXPECT_EQ(image.layers[0].digest, base.layers[0].digest);
  EXPECT_EQ(image.chain_ids[0], base.chain_ids[0]);
  EXPECT_TRUE(fs::exists(fs::path(layers_->path_of(*image.top)) / "new"));
  const auto history = images_->history("made:1");
  ASSERT_EQ(history.size(), 2U);
  EXPECT_EQ(history[0].id, image.id.str());
  EXPECT_EQ(history[0].created_by, "sh -c something");
  EXPECT_EQ(history[0].comment, "a comment");
  EXPECT_EQ(history[0].size, 4);
  EXPECT_EQ(history[1].id, base.id.str());
  EXPECT_EQ(images_->inspect("made:1").parent, base.id.str());
  const auto manifest = oci::parse_manifest(images_->manifest_text(image), image.manifest.media_type);
  EXPECT_EQ(manifest.config.digest, image.id);
  EXPECT_EQ(manifest.layers.size(), 2U);
  for (const auto& layer : manifest.layers) EXPECT_TRUE(blobs_->has(layer.digest));
}

TEST_F(Images, CommitOfAnImageWithoutHistoryWorks) {
  const Image base = import("base");
  oci::ImageConfig config = images_->config_of(base.id);
  config.history.clear();
  NewImage bare;
  bare.config = oci::to_json(config);
  bare.layers = base.layers;
  bare.references = {"docker.io/library/bare:latest"};
  const Image image = commit(images_->add(std::move(bare)), "made");
  EXPECT_EQ(images_->history("made").size(), 2U);
  EXPECT_EQ(image.chain_ids.size(), 2U);
}

TEST_F(Images, ContainersChangesBecomeAnImage) {
  const Image base = import("base");
  driver_->prepare({"", "c1"}, base.top, ids::IdMaps::identity());
  {
    const UniqueFd view = driver_->mount_view({"", "c1"}, false);
    kernel::write_all(kernel::open_at(view.get(), "made", O_WRONLY | O_CREAT, 0644).get(),
                      std::as_bytes(std::span("x", 1)));
    kernel::unlink_at(view.get(), "file");
  }
  CommitInput input;
  input.parent = base.id;
  input.diff = [&](ByteSink& sink) { driver_->export_diff({"", "c1"}, sink); };
  const Image image = images_->commit(input);
  driver_->prepare({"", "c2"}, image.top, ids::IdMaps::identity());
  const UniqueFd view = driver_->mount_view({"", "c2"}, true);
  EXPECT_TRUE(kernel::try_stat_at(view.get(), "made"));
  EXPECT_FALSE(kernel::try_stat_at(view.get(), "file"));
}

TEST_F(Images, AFailedCommitLeavesNothing) {
  const Image base = import("base");
  CommitInput input;
  input.parent = base.id;
  input.diff = [](ByteSink& sink) {
    sink.write(tar_of("new", std::string(100'000, 'x')).substr(0, 50'000));
    throw Error(ErrorKind::internal, "disk on fire");
  };
  EXPECT_THROW(images_->commit(input), Error);
  images_->collect_garbage();
  EXPECT_EQ(layers_->list().size(), 1U);
  EXPECT_EQ(blobs_->list().size(), 3U);
  EXPECT_TRUE(clean());
}

TEST_F(Images, AreFoundByAllTheirNames) {
  const Image image = import("busybox");
  const std::string hex = image.id.hex();
  for (const std::string& ref :
       {std::string("busybox"), std::string("busybox:latest"), std::string("docker.io/library/busybox"), hex,
        "sha256:" + hex, hex.substr(0, 12), hex.substr(0, 4), "sha256:" + hex.substr(0, 8)})
    EXPECT_EQ(message_of(ref), "found") << ref;
  EXPECT_EQ(message_of("none"), "No such image: none:latest");
  EXPECT_EQ(message_of("none:tag"), "No such image: none:tag");
  EXPECT_THAT(message_of("Upper/Case"), HasSubstr("invalid reference format"));
  EXPECT_THAT(message_of(std::string(64, '0')), HasSubstr("No such image"));
}

TEST_F(Images, AmbiguousPrefixesAreSaid) {
  for (int i = 0; i < 20; ++i) import("", std::to_string(i));
  std::map<char, int> first;
  for (const Image& image : images_->list()) ++first[image.id.hex()[0]];
  const auto twice = std::find_if(first.begin(), first.end(), [](const auto& item) { return item.second > 1; });
  ASSERT_NE(twice, first.end());
  EXPECT_THAT(message_of(std::string(1, twice->first)), HasSubstr("ambiguous"));
}

TEST_F(Images, TagsMove) {
  const Image one = import("a:1", "one");
  const Image two = import("b:1", "two");
  EXPECT_EQ(images_->tag("b:1", "a", "1"), "a:1");
  EXPECT_EQ(images_->resolve("a:1").id, two.id);
  EXPECT_TRUE(images_->find_id(one.id)->tags.empty());
  EXPECT_EQ(images_->tag(two.id.str(), "127.0.0.1:5000/hello", ""), "127.0.0.1:5000/hello:latest");
  EXPECT_THROW(images_->tag("none", "x", "y"), Error);
  EXPECT_THROW(images_->tag("a:1", "Bad", "y"), Error);
  EXPECT_THROW(images_->tag("a:1", "sha256", std::string(64, 'a')), Error);
  restart();
  EXPECT_EQ(images_->resolve("a:1").id, two.id);
  EXPECT_EQ(images_->resolve("127.0.0.1:5000/hello").id, two.id);
}

TEST_F(Images, RemovingTheLastNameRemovesImageAndLayers) {
  import("busybox");
  EXPECT_EQ(remove("busybox"), "Untagged: busybox:latest\nDeleted: sha256:\nDeleted: sha256:\n");
  EXPECT_TRUE(images_->list().empty());
  EXPECT_TRUE(nothing_stored());
  EXPECT_THAT(remove("busybox"), HasSubstr("No such image: busybox:latest"));
}

TEST_F(Images, RemovingOneOfSeveralNamesOnlyUntags) {
  const Image image = import("a:1");
  images_->tag("a:1", "a", "2");
  images_->tag("a:1", "other", "1");
  EXPECT_EQ(remove("a:2"), "Untagged: a:2\n");
  EXPECT_EQ(remove(image.id.hex()), "conflict: unable to delete " + image.id.short_id() +
                                        " (must be forced) - image is referenced in multiple repositories");
  EXPECT_EQ(remove(image.id.hex(), true), "Untagged: a:1\nUntagged: other:1\nDeleted: sha256:\nDeleted: sha256:\n");
}

TEST_F(Images, TwoTagsOfOneRepositoryMustBeForcedToo) {
  const Image image = import("a:1");
  images_->tag("a:1", "a", "2");
  EXPECT_THAT(remove(image.id.hex()), HasSubstr("must be forced"));
}

TEST_F(Images, ContainersForbidRemoval) {
  const Image image = import("a:1");
  const std::string id = image.id.short_id();
  const std::string container(12, 'c');
  EXPECT_EQ(remove("a:1", false, user(image.id, false)),
            "conflict: unable to remove repository reference \"a:1\" (must force) - container " + container +
                " is using its referenced image " + id);
  EXPECT_EQ(
      remove(image.id.hex(), false, user(image.id, false)),
      "conflict: unable to delete " + id + " (must be forced) - image is being used by stopped container " + container);
  EXPECT_EQ(remove(image.id.hex(), true, user(image.id, true)),
            "conflict: unable to delete " + id + " (cannot be forced) - image is being used by running container " +
                container);
  EXPECT_EQ(remove("a:1", true, user(image.id, true)), "Untagged: a:1\n") << "the container keeps the image";
  EXPECT_TRUE(images_->find_id(image.id));
  EXPECT_THAT(remove(image.id.hex(), true, user(image.id, false)), HasSubstr("Deleted"));
}

TEST_F(Images, ParentsGoWithTheirLastChildUnlessAsked) {
  const Image base = import("base");
  commit(base, "child");
  EXPECT_THAT(remove(base.id.hex()), HasSubstr("image has dependent child images"));
  EXPECT_EQ(remove("base"), "Untagged: base:latest\n") << "the child keeps it";
  EXPECT_EQ(remove("child"),
            "Untagged: child:latest\nDeleted: sha256:\nDeleted: sha256:\nDeleted: sha256:\nDeleted: sha256:\n");
  EXPECT_TRUE(nothing_stored());
  const Image again = import("base");
  commit(again, "child");
  remove("base");
  remove("child", false, nobody(), true);
  EXPECT_TRUE(images_->find_id(again.id)) << "--no-prune";
}

TEST_F(Images, LayersOfContainersStayWhenTheirImageIsForcedAway) {
  const Image image = import("a");
  driver_->prepare({"", "c1"}, image.top, ids::IdMaps::identity());
  remove("a", true, user(image.id, false));
  EXPECT_TRUE(layers_->has(*image.top));
  EXPECT_TRUE(kernel::try_stat_at(driver_->mount_view({"", "c1"}, true).get(), "file"));
  driver_->remove({"", "c1"});
  EXPECT_TRUE(nothing_stored());
}

TEST_F(Images, SharedLayersStay) {
  const Image base = import("base");
  const Image one = commit(base, "one", "1");
  commit(base, "two", "2");
  EXPECT_EQ(remove("one"), "Untagged: one:latest\nDeleted: sha256:\nDeleted: sha256:\n");
  EXPECT_TRUE(layers_->has(*base.top));
  EXPECT_FALSE(layers_->has(*one.top));
  std::int64_t shared = -1;
  for (const auto& summary : images_->summaries(false, {}, true))
    if (summary.repo_tags.front() == "two:latest") shared = summary.shared_size;
  EXPECT_EQ(shared, 4);
}

TEST_F(Images, NothingIsCollectedUnderALeaseButAfterIt) {
  const Image image = import("a");
  {
    const auto held = images_->lease();
    remove("a");
    EXPECT_TRUE(layers_->has(*image.top));
  }
  EXPECT_FALSE(layers_->has(*image.top));
}

TEST_F(Images, FiltersSelect) {
  const Image base = import("repo/base:1");
  commit(base, "other:2");
  import("", "dangling");
  EXPECT_EQ(names().size(), 3U);
  EXPECT_THAT(names({{"dangling", {"true"}}}), ElementsAre("<none>"));
  EXPECT_THAT(names({{"reference", {"repo/*"}}}), ElementsAre("repo/base:1"));
  EXPECT_THAT(names({{"reference", {"other:*"}}}), ElementsAre("other:2"));
  EXPECT_EQ(names({{"label", {"made=here"}}}).size(), 3U);
  EXPECT_THAT(names({{"label", {"made=there"}}}), IsEmpty());
  EXPECT_THROW(names({{"color", {"red"}}}), Error);
  EXPECT_THROW(names({{"dangling", {"maybe"}}}), Error);
  EXPECT_THROW(names({{"before", {"none"}}}), Error);
}

TEST_F(Images, PruneTakesDanglingOnesThatNobodyUses) {
  import("kept");
  const Image used = import("", "used");
  import("", "unused");
  const PruneResult result = images_->prune({}, user(used.id, false));
  EXPECT_EQ(result.reclaimed, 6U);
  EXPECT_EQ(images_->list().size(), 2U);
  EXPECT_EQ(images_->prune({{"dangling", {"false"}}}, nobody()).removed.size(), 5U);
  EXPECT_TRUE(nothing_stored());
}

TEST_F(Images, EverythingSurvivesARestart) {
  const Image base = import("base");
  const Image child = commit(base, "child");
  restart();
  EXPECT_EQ(images_->resolve("child").id, child.id);
  EXPECT_EQ(images_->resolve("child").parent, base.id);
  EXPECT_EQ(images_->resolve("child").layers.size(), 2U);
  images_->collect_garbage();
  EXPECT_EQ(layers_->list().size(), 2U);
}

TEST_F(Images, IsolatedStoresSeeTheirOwnButShareLayers) {
  const Image image = import("a");
  ImageStore isolated(*root_, *documents_, *blobs_, *layers_, *driver_, "165536.165536");
  EXPECT_TRUE(isolated.list().empty());
  EXPECT_FALSE(isolated.find("a"));
  isolated.collect_garbage();
  EXPECT_TRUE(layers_->has(*image.top)) << "the other store's images count";
}

TEST_F(Images, SavedImagesLoadTheSameElsewhere) {
  const Image base = import("base");
  const Image child = commit(base, "child:1");
  images_->tag("child:1", "child", "2");
  StringSink sink;
  images_->save({"child", base.id.hex()}, sink);
  for (const auto* name : {"base", "child:1", "child:2"}) remove(name);
  ASSERT_TRUE(nothing_stored());
  EXPECT_THAT(load(sink.text()), ElementsAre("Loaded image: child:1\n", "Loaded image: child:2\n",
                                             "Loaded image ID: " + base.id.str() + "\n"));
  const Image again = images_->resolve("child:2");
  EXPECT_EQ(again.id, child.id);
  EXPECT_EQ(again.manifest.digest, child.manifest.digest) << "the push would be unchanged";
  EXPECT_THAT(load(sink.text()), testing::SizeIs(3)) << "loading twice is fine";
  EXPECT_EQ(images_->list().size(), 2U);
}

TEST_F(Images, SavingWhatIsNotThereSaysSo) {
  StringSink sink;
  EXPECT_THROW(images_->save({"none"}, sink), Error);
}

// docker save of Docker 1.10 to 24.
std::string old_archive(const std::string& config, const std::string& layer, const std::string& tag,
                        const std::string& config_name = "config.json") {
  RawTar tar;
  tar.add({.name = "1111/", .type = '5'});
  tar.add({.name = "1111/layer.tar", .content = layer});
  tar.add({.name = "2222/layer.tar", .type = '2', .link = "../1111/layer.tar"});
  tar.add({.name = config_name, .content = config});
  tar.add({.name = "manifest.json",
           .content =
               fmt::format(R"([{{"Config":"{}","RepoTags":["{}"],"Layers":["1111/layer.tar"]}}])", config_name, tag)});
  return tar.end();
}

std::string config_for(const std::string& layer) {
  oci::ImageConfig config;
  config.os = "linux";
  config.architecture = oci::Platform::host().architecture;
  config.rootfs.diff_ids = {Digest::of(layer)};
  return oci::to_json(config);
}

TEST_F(Images, OldArchivesLoadPlainAndCompressed) {
  const std::string layer = tar_of("file", "content");
  const std::string archive = old_archive(config_for(layer), layer, "old:tag");
  EXPECT_THAT(load(archive), ElementsAre("Loaded image: old:tag\n"));
  EXPECT_TRUE(fs::exists(fs::path(layers_->path_of(*images_->resolve("old:tag").top)) / "file"));
  StringSink packed;
  const auto encoder = storage::make_encoder(packed, storage::Compression::gzip);
  encoder->ByteSink::write(archive);
  encoder->finish();
  EXPECT_THAT(load(packed.text()), ElementsAre("Loaded image: old:tag\n"));
}

TEST_F(Images, LoadingOverANameRenamesTheOldImage) {
  const Image old = import("old:tag");
  const std::string layer = tar_of("file", "content");
  const auto lines = load(old_archive(config_for(layer), layer, "old:tag"));
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0], HasSubstr("The image old:tag already exists, renaming the old one with ID " + old.id.str()));
}

TEST_F(Images, CVE_2014_9358_HostileArchivesAreRefusedAndLeaveNothing) {
  const std::string layer = tar_of("file", "content");
  const std::string config = config_for(layer);
  RawTar no_layer;
  no_layer.add({.name = "config.json", .content = config});
  no_layer.add({.name = "manifest.json", .content = R"([{"Config":"config.json","Layers":["1111/layer.tar"]}])"});
  RawTar outside;
  outside.add({.name = "../../evil", .content = "x"});
  RawTar link;
  link.add({.name = "config.json", .type = '2', .link = "../../../../etc/passwd"});
  link.add({.name = "manifest.json", .content = R"([{"Config":"config.json","Layers":[]}])"});
  RawTar absolute;
  absolute.add({.name = "config.json", .type = '1', .link = "/etc/passwd"});
  RawTar loop;
  loop.add({.name = "a", .type = '2', .link = "b"});
  loop.add({.name = "b", .type = '2', .link = "a"});
  loop.add({.name = "manifest.json", .content = R"([{"Config":"a","Layers":[]}])"});
  RawTar twice;
  twice.add({.name = "manifest.json", .content = R"([{"Config":"a","Config":"b","Layers":[]}])"});
  const std::vector<std::string> archives = {
      no_layer.end(),
      outside.end(),
      link.end(),
      absolute.end(),
      loop.end(),
      twice.end(),
      old_archive(config_for("another layer"), layer, "a:b"),
      old_archive(config, layer, "../..:b"),
      old_archive("{", layer, "a:b"),
      tar_of("manifest.json", "[]"),
      tar_of("manifest.json", R"([{"Config":"../../../../etc/passwd","Layers":[]}])"),
      tar_of("index.json", R"({"schemaVersion":2,"manifests":[{"digest":"sha256:../../x","size":1,"mediaType":""}]})"),
      tar_of("readme", "hello"),
      "not a tar at all",
      std::string(),
  };
  for (std::size_t i = 0; i < archives.size(); ++i) {
    EXPECT_THROW(load(archives[i]), Error) << i;
    EXPECT_TRUE(images_->list().empty()) << i;
    EXPECT_TRUE(nothing_stored()) << i;
  }
}

TEST_F(Images, CVE_2023_25153_HugeDocumentsAreNotReadIntoMemory) {
  RawTar tar;
  tar.add({.name = "manifest.json", .content = std::string(5U << 20, ' ')});
  EXPECT_THROW(load(tar.end()), Error);
  EXPECT_TRUE(nothing_stored());
}

// CVE-2024-36621 class: many at once over the same image.
TEST_F(Images, ManyThreadsOnTheSameImages) {
  const Image base = import("base");
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; !stop; ++i) {
        const std::string name = fmt::format("made{}", t);
        commit(base, name, "same");
        images_->tag(name, "alias", std::to_string(t));
        try {
          images_->remove(name, true, false, nobody());
        } catch (const Error&) {
        }
      }
    });
  threads.emplace_back([&] {
    while (!stop) {
      images_->summaries(true, {}, true);
      for (const Image& image : images_->list()) {
        try {
          images_->history(image.id.str());
        } catch (const Error&) {
        }
      }
    }
  });
  std::this_thread::sleep_for(std::chrono::seconds(1));
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(images_->find_id(base.id));
  for (const Image& image : images_->list())
    for (const Digest& chain : image.chain_ids) EXPECT_TRUE(layers_->has(chain));
}

}  // namespace
}  // namespace bryo::images

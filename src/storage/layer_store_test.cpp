#include "storage/layer_store.hpp"

#include <signal.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <thread>

#include "base/error.hpp"
#include "storage/compression.hpp"
#include "storage/store_test_support.hpp"
#include "storage/tar_test_support.hpp"

namespace bryo::storage {
namespace {

using test::RawTar;
using Layers = test::Store;
namespace fs = std::filesystem;

std::string gzip(const std::string& text) {
  StringSink sink;
  const auto encoder = make_encoder(sink, Compression::gzip);
  encoder->ByteSink::write(text);
  encoder->finish();
  return sink.take();
}

struct stat stat_of(const fs::path& path) {
  return kernel::stat_at(AT_FDCWD, path.string());
}

TEST_F(Layers, EverythingOfAnEntryIsKept) {
  RawTar tar;
  tar.add({.name = "./", .type = '5', .mode = 0751, .mtime = 7});
  tar.add({.name = "bin/", .type = '5', .mode = 02755, .gid = 5, .mtime = 1000});
  tar.add_pax({{"SCHILY.xattr.security.capability", std::string("\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)}});
  tar.add({.name = "bin/su", .content = "set-uid", .mode = 04755, .uid = 1000, .gid = 1001, .mtime = 1234});
  tar.add({.name = "bin/plain", .content = std::string(3'000'000, 'p'), .mode = 0666, .mtime = 5});
  tar.add({.name = "bin/hard", .type = '1', .link = "/bin/su"});
  tar.add({.name = "bin/sh", .type = '2', .link = "/bin/busybox", .mtime = 99});
  tar.add({.name = "dev/null", .type = '3', .mode = 0666, .device_major = 1, .device_minor = 3});
  tar.add({.name = "run/pipe", .type = '6', .mode = 0620, .uid = 65535});
  const LayerInfo layer = unpack(gzip(tar.end()));
  const fs::path top = path_of(layer);
  EXPECT_EQ(stat_of(top).st_mode & 07777U, 0751U);
  EXPECT_EQ(stat_of(top).st_mtime, 7);
  EXPECT_EQ(stat_of(top / "bin").st_mode & 07777U, 02755U);
  EXPECT_EQ(stat_of(top / "bin").st_mtime, 1000);
  const struct stat su = stat_of(top / "bin/su");
  EXPECT_EQ(su.st_mode & 07777U, 04755U);
  EXPECT_EQ(su.st_uid, 1000U);
  EXPECT_EQ(su.st_mtime, 1234);
  EXPECT_EQ(su.st_nlink, 2U);
  EXPECT_EQ(stat_of(top / "bin/plain").st_gid, 0U) << "not the group of its set-gid directory";
  EXPECT_EQ(stat_of(top / "bin/plain").st_mode & 07777U, 0666U) << "the umask does not count";
  EXPECT_EQ(fs::read_symlink(top / "bin/sh"), "/bin/busybox");
  EXPECT_EQ(stat_of(top / "bin/sh").st_mtime, 99);
  EXPECT_EQ(stat_of(top / "dev/null").st_rdev, makedev(1, 3));
  EXPECT_TRUE(S_ISFIFO(stat_of(top / "run/pipe").st_mode));
  char capability[64];
  EXPECT_EQ(::getxattr((top / "bin/su").c_str(), "security.capability", capability, sizeof capability), 20);
  EXPECT_EQ(layer.size, 3'000'007U);
  EXPECT_EQ(layer.max_uid, 65535U);
  EXPECT_TRUE(layer.has_root_entry);
  EXPECT_EQ(layer.diff_id, Digest::of(tar.end()));
  EXPECT_EQ(layer.chain, layer.diff_id);
  EXPECT_TRUE(clean());
}

TEST_F(Layers, ChainIdsFollowTheImageSpec) {
  const Digest a = Digest::of("a");
  const Digest b = Digest::of("b");
  EXPECT_EQ(chain_id({}, a), a);
  EXPECT_EQ(*chain_id({a, b}), Digest::of(a.str() + " " + b.str()));
  EXPECT_EQ(chain_id(std::vector<Digest>{}), std::nullopt);
}

TEST_F(Layers, WhiteoutsBecomeOverlayfsOnes) {
  RawTar tar;
  tar.add({.name = "etc/", .type = '5'});
  tar.add({.name = "etc/.wh.gone"});
  tar.add({.name = "var/.wh..wh..opq"});
  tar.add({.name = ".wh..wh.plnk/x"});
  tar.add({.name = ".wh..wh.aufs"});
  tar.add({.name = "new/", .type = '5'});
  tar.add({.name = ".wh.new"});
  tar.add({.name = ".wh.again"});
  tar.add({.name = "again/", .type = '5'});
  tar.add({.name = ".wh.deep"});
  tar.add({.name = "deep/er/file", .content = "x"});
  const fs::path top = path_of(unpack(tar.end()));
  EXPECT_TRUE(S_ISCHR(stat_of(top / "etc/gone").st_mode));
  EXPECT_EQ(stat_of(top / "etc/gone").st_rdev, makedev(0, 0));
  const auto opaque = [&](const char* name) {
    char value[4];
    return ::getxattr((top / name).c_str(), "trusted.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y';
  };
  EXPECT_TRUE(opaque("var"));
  EXPECT_TRUE(opaque("new")) << "a whiteout hides what lies below the layer";
  EXPECT_TRUE(opaque("again")) << "and goes on doing so when the layer puts a directory there";
  EXPECT_TRUE(opaque("deep"));
  EXPECT_FALSE(opaque("etc"));
  EXPECT_TRUE(fs::exists(top / "deep/er/file"));
  EXPECT_FALSE(fs::exists(top / ".wh..wh.aufs"));
  EXPECT_FALSE(fs::exists(top / "etc/.wh.gone"));
}

TEST_F(Layers, WhiteoutTricksAreRefused) {
  for (const auto* name : {".wh.", ".wh..", ".wh...", "a/.wh..", "a/.wh..."}) {
    RawTar tar;
    tar.add({.name = "a/", .type = '5'});
    tar.add({.name = name});
    EXPECT_THROW(unpack(tar.end()), Error) << name;
  }
  EXPECT_TRUE(clean());
}

// Each archive tries to reach canary/ beside the data root; the fixture compares it afterwards.
struct Evil {
  const char* name;
  std::vector<RawTar::Entry> entries;
  bool refused;  // else it is accepted, and harmless
};

class EvilLayers : public Layers, public ::testing::WithParamInterface<Evil> {};

const Evil kEvil[] = {
    {"CVE_2014_9356_DotDot", {{.name = "../../canary/new", .content = "x"}}, true},
    {"DotDotInside", {{.name = "a/../../../canary/new", .content = "x"}}, true},
    {"DotDotThatStays", {{.name = "a/../b", .content = "x"}}, false},
    {"AbsoluteName", {{.name = "/tmp/evil", .content = "x"}}, false},
    {"CVE_2014_6407_RootIsALink", {{.name = "./", .type = '2', .link = "/tmp"}, {.name = "x", .content = "x"}}, true},
    {"CVE_2014_6407_LinkThenWrite",
     {{.name = "l", .type = '2', .link = "../../../canary"}, {.name = "l/new", .content = "x"}},
     true},
    {"AbsoluteLinkThenWrite", {{.name = "l", .type = '2', .link = "/tmp"}, {.name = "l/new", .content = "x"}}, true},
    {"CVE_2026_17106_ChainOfLinks",
     {{.name = "d/", .type = '5'},
      {.name = "d/one", .type = '2', .link = ".."},
      {.name = "d/two", .type = '2', .link = "one/.."},
      {.name = "d/three", .type = '2', .link = "two/../../canary"},
      {.name = "d/three/new", .content = "x"}},
     true},
    {"LinkReplacedDirectory",
     {{.name = "d/", .type = '5'},
      {.name = "d/in", .content = "x"},
      {.name = "d", .type = '2', .link = "../../../canary"},
      {.name = "d/new", .content = "x"}},
     true},
    {"FileThroughLinkOfSameName",
     {{.name = "f", .type = '2', .link = "../../../canary/secret"}, {.name = "f", .content = "overwritten"}},
     false},
    {"HardLinkToOutside", {{.name = "h", .type = '1', .link = "../../../canary/secret"}}, true},
    {"HardLinkAbsolute", {{.name = "h", .type = '1', .link = "/etc/passwd"}}, true},
    {"HardLinkThroughLink",
     {{.name = "l", .type = '2', .link = "../../../canary"}, {.name = "h", .type = '1', .link = "l/secret"}},
     true},
    {"HardLinkToLinkThenWrite",
     {{.name = "l", .type = '2', .link = "../../../canary/secret"},
      {.name = "h", .type = '1', .link = "l"},
      {.name = "h", .content = "overwritten"}},
     false},
    {"HardLinkToTop", {{.name = "h", .type = '1', .link = "/"}}, true},
    {"LinkLoop",
     {{.name = "a", .type = '2', .link = "b"},
      {.name = "b", .type = '2', .link = "a"},
      {.name = "a/x", .content = "x"}},
     true},
    {"CVE_2021_32760_ModeThroughLink",
     {{.name = "l", .type = '2', .link = "../../../canary/dir"}, {.name = "l/", .type = '5', .mode = 0777}},
     false},
    {"OwnerThroughLink",
     {{.name = "l", .type = '2', .link = "../../../canary/secret", .mode = 0777, .uid = 99, .gid = 99, .mtime = 1}},
     false},
    {"WhiteoutThroughLink", {{.name = "l", .type = '2', .link = "../../../canary"}, {.name = "l/.wh.secret"}}, true},
    {"OpaqueOnLink", {{.name = "l", .type = '2', .link = "../../../canary"}, {.name = "l/.wh..wh..opq"}}, true},
    {"NameIsTooLong", {{.name = "././@LongLink", .type = 'L', .content = std::string(300, 'n')}, {.name = "x"}}, true},
    {"UnknownType", {{.name = "x", .type = 'Z'}}, true},
    {"Duplicates", {{.name = "x", .content = "1"}, {.name = "x", .content = "22"}, {.name = "x", .type = '5'}}, false},
};
INSTANTIATE_TEST_SUITE_P(Corpus, EvilLayers, ::testing::ValuesIn(kEvil),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(EvilLayers, NothingOutsideIsTouched) {
  RawTar tar;
  for (const auto& entry : GetParam().entries) tar.add(entry);
  bool refused = false;
  try {
    const fs::path top = path_of(unpack(tar.end()));
    EXPECT_TRUE(fs::is_directory(top) && !fs::is_symlink(top));
  } catch (const Error& error) {
    refused = true;
    EXPECT_TRUE(error.kind() == ErrorKind::invalid_argument || error.kind() == ErrorKind::not_found ||
                error.kind() == ErrorKind::conflict)
        << error.message();
  }
  EXPECT_EQ(refused, GetParam().refused);
  EXPECT_FALSE(fs::exists("/tmp/evil") || fs::exists("/tmp/new"));
  EXPECT_TRUE(clean());
}

TEST_F(Layers, CVE_2026_17106_LinksOfAnEarlierLayerDoNotLeadThisOne) {
  RawTar first;
  first.add({.name = "l", .type = '2', .link = "../../../canary"});
  const LayerInfo base = unpack(first.end());
  RawTar second;
  second.add({.name = "l/new", .content = "x"});
  const fs::path top = path_of(unpack(second.end(), base.chain));
  EXPECT_TRUE(fs::exists(top / "l/new"));
}

TEST_F(Layers, PaxNamesAreCheckedToo) {
  RawTar path;
  path.add_pax({{"path", "../../canary/new"}});
  path.add({.name = "good", .content = "x"});
  EXPECT_THROW(unpack(path.end()), Error);
  RawTar link;
  link.add_pax({{"linkpath", "../../canary/secret"}});
  link.add({.name = "h", .type = '1', .link = "good"});
  EXPECT_THROW(unpack(link.end()), Error);
}

TEST_F(Layers, OverlayAttributesOfAnImageAreDropped) {
  RawTar tar;
  tar.add_pax({{"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
               {"SCHILY.xattr.trusted.overlay.metacopy", ""},
               {"SCHILY.xattr.user.overlay.opaque", "y"},
               {"SCHILY.xattr.user.good", "kept"}});
  tar.add({.name = "d", .type = '5'});
  const fs::path top = path_of(unpack(tar.end()));
  const auto names = kernel::list_xattrs(kernel::open_trusted((top / "d").string(), O_PATH).get());
  EXPECT_EQ(names, std::vector<std::string>{"user.good"});
}

TEST_F(Layers, DeepTreesAreBounded) {
  RawTar tar;
  std::string path;
  for (int i = 0; i < 3000; ++i) path += "d/";
  tar.add_pax({{"path", path}});
  tar.add({.name = "x", .type = '5'});
  EXPECT_THROW(unpack(tar.end()), Error);
  RawTar fine;
  fine.add_pax({{"path", path.substr(0, 2000)}});
  fine.add({.name = "x", .type = '5'});
  unpack(fine.end());
  EXPECT_TRUE(clean());
}

TEST_F(Layers, TooManyFilesForOpenDescriptorsAreFine) {
  RawTar tar;
  for (int i = 0; i < 2000; ++i) tar.add({.name = fmt::format("d{}/file", i % 500), .content = "x"});
  EXPECT_EQ(unpack(tar.end()).entries, 2000U);
}

// Serves a gzip of `size` zero bytes as one file in a tar, a few bytes at a time.
std::string zero_bomb(std::uint64_t size) {
  StringSink sink;
  const auto encoder = make_encoder(sink, Compression::gzip);
  RawTar head;
  head.add_header({.name = "zeros", .size = size});
  encoder->ByteSink::write(head.bytes());
  const std::vector<std::byte> zeros(1U << 20);
  for (std::uint64_t at = 0; at < size; at += zeros.size()) encoder->write(zeros);
  encoder->write(std::span(zeros).first(1024));
  encoder->finish();
  return sink.take();
}

TEST_F(Layers, CVE_2017_14992_BombsEndAtTheBudget) {
  const std::string bomb = zero_bomb(1ULL << 30);
  UnpackLimits limits;
  limits.bytes = 100U << 20;
  try {
    unpack(bomb, {}, limits);
    FAIL() << "unpacked";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::exhausted) << error.message();
  }
  limits = {};
  limits.entries = 2;
  RawTar many;
  for (int i = 0; i < 3; ++i) many.add({.name = std::to_string(i)});
  EXPECT_THROW(unpack(many.end(), {}, limits), Error);
  limits = {};
  limits.ratio = 50;
  RawTar two;
  two.add({.name = "zeros", .content = std::string(70U << 20, '\0')});
  two.add({.name = "more"});
  EXPECT_THROW(unpack(gzip(two.end()), {}, limits), Error);
  EXPECT_TRUE(clean());
}

TEST_F(Layers, NoSpaceLeftIsAnErrorThatLeavesNothing) {
  const fs::path small = base_ / "small";
  fs::create_directories(small);
  if (::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=40m") != 0) GTEST_SKIP() << "cannot mount a tmpfs here";
  {
    DataRoot root((small / "root").string());
    DocumentStore documents(root.path());
    LayerStore layers(root, documents);
    UnpackRequest request;
    request.limits.reserve_bytes = 0;
    const std::string bomb = zero_bomb(100ULL << 20);
    MemorySource source(bomb);
    try {
      layers.unpack(request, source);
      ADD_FAILURE() << "100 MiB in 40";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::exhausted) << error.message();
      EXPECT_NE(error.message().find("No space left"), std::string::npos) << error.message();
    }
    root.drain_trash();
    EXPECT_TRUE(fs::is_empty(small / "root/tmp"));
    EXPECT_TRUE(layers.list().empty());
    // And the store still works.
    RawTar tar;
    tar.add({.name = "f", .content = "x"});
    const std::string bytes = tar.end();
    MemorySource good(bytes);
    layers.unpack(request, good);
    MemorySource again(bomb);
    request.limits.reserve_bytes = 1ULL << 40;
    EXPECT_THROW(layers.unpack(request, again), Error) << "a reserve is kept";
  }
  ::umount(small.c_str());
}

TEST_F(Layers, CVE_2014_8179_WrongBytesAreNeverReachable) {
  RawTar tar;
  tar.add({.name = "f", .content = "x"});
  UnpackRequest request;
  request.diff_id = Digest::of("something else");
  const std::string bytes = tar.end();
  MemorySource source(bytes);
  EXPECT_THROW(layers_->unpack(request, source), Error);
  EXPECT_TRUE(layers_->list().empty());
  EXPECT_TRUE(fs::is_empty(base_ / "root/layers"));
  EXPECT_TRUE(clean());
}

TEST_F(Layers, CVE_2021_20291_AFailedUnpackingDoesNotBlockTheNext) {
  RawTar tar;
  tar.add({.name = "f", .content = std::string(100'000, 'x')});
  const std::string bytes = tar.end();
  UnpackRequest request;
  request.diff_id = Digest::of(bytes);
  const std::string cut = gzip(bytes).substr(0, 60);
  MemorySource truncated(cut);
  EXPECT_THROW(layers_->unpack(request, truncated), Error);
  MemorySource whole(bytes);
  EXPECT_EQ(layers_->unpack(request, whole).diff_id, *request.diff_id);
}

TEST_F(Layers, TwoCallersShareOneUnpacking) {
  RawTar tar;
  for (int i = 0; i < 200; ++i) tar.add({.name = fmt::format("f{}", i), .content = std::string(20'000, 'x')});
  const std::string bytes = gzip(tar.end());
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      UnpackRequest request;
      request.diff_id = Digest::of(tar.end());
      MemorySource source(bytes);
      EXPECT_EQ(layers_->unpack(request, source).entries, 200U);
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(layers_->list().size(), 1U);
  EXPECT_TRUE(clean());
}

TEST_F(Layers, RemovedLayersAreGone) {
  RawTar tar;
  tar.add({.name = "f", .content = "x"});
  const LayerInfo layer = unpack(tar.end());
  layers_->init_layer(layer.chain);
  layers_->remove(layer.chain);
  layers_->remove(layer.chain);
  EXPECT_TRUE(clean());
  EXPECT_TRUE(fs::is_empty(base_ / "root/layers"));
  reopen();
  EXPECT_TRUE(layers_->list().empty());
}

TEST_F(Layers, InitLayerHasOnlyWhatTheImageLacks) {
  RawTar tar;
  tar.add({.name = "etc/", .type = '5', .mode = 0711, .uid = 3});
  tar.add({.name = "etc/hosts", .content = "mine"});
  tar.add({.name = "dev", .type = '2', .link = "../../../canary"});
  const LayerInfo layer = unpack(tar.end());
  const fs::path init = fs::path(layers_->directory()) / layers_->init_layer(layer.chain);
  EXPECT_FALSE(fs::exists(init / "etc/hosts"));
  EXPECT_TRUE(fs::exists(init / "etc/resolv.conf"));
  EXPECT_TRUE(fs::is_directory(init / "proc"));
  EXPECT_FALSE(fs::exists(init / "dev")) << "CVE-2026-41579: a link of the image's is left alone";
  EXPECT_EQ(stat_of(init / "etc").st_mode & 07777U, 0711U);
  EXPECT_EQ(stat_of(init / "etc").st_uid, 3U);
  EXPECT_EQ(layers_->init_layer(layer.chain), init.filename().string());
  EXPECT_TRUE(fs::exists(fs::path(layers_->directory()) / layers_->init_layer({}) / "dev/pts"));
}

// Kill at every step of an unpacking; afterwards a layer is there whole or not at all.
TEST_F(Layers, KilledAtAnyStepALayerIsWholeOrNotThere) {
  RawTar tar;
  tar.add({.name = "d/f", .content = std::string(100'000, 'x')});
  const std::string bytes = tar.end();
  close();
  int present = 0;
  const int steps = 20;
  for (int step = 0; step < steps; ++step) {
    const pid_t child = ::fork();
    if (child == 0) {
      DataRoot root((base_ / "root").string());
      int count = 0;
      root.set_step_hook([&](std::string_view) {
        if (count++ == step) ::kill(::getpid(), SIGKILL);
      });
      DocumentStore documents(root.path());
      LayerStore layers(root, documents);
      MemorySource source(bytes);
      const LayerInfo layer = layers.unpack({}, source);
      layers.remove(layer.chain);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    reopen();
    for (const LayerInfo& layer : layers_->list()) {
      ++present;
      EXPECT_EQ(fs::file_size(path_of(layer) / "d/f"), 100'000U) << step;
      layers_->remove(layer.chain);
    }
    EXPECT_TRUE(clean()) << step;
    EXPECT_TRUE(fs::is_empty(base_ / "root/layers")) << step;
    close();
    if (WIFEXITED(status)) break;
    ASSERT_LT(step, steps - 1) << "more steps than expected";
  }
  EXPECT_EQ(present, 1) << "killed after the record, the layer is there";
}

}  // namespace
}  // namespace bryo::storage

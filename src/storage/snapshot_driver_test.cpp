// One suite for every driver and for containers with and without a map.
#include "storage/snapshot_driver.hpp"

#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <thread>

#include "base/error.hpp"
#include "kernel/idmap.hpp"
#include "storage/id_shift.hpp"
#include "storage/store_test_support.hpp"
#include "storage/tar_test_support.hpp"

namespace bryo::storage {
namespace {

using test::RawTar;
using test::tree_of;
namespace fs = std::filesystem;

struct Case {
  const char* driver;
  bool mapped;
};

class Drivers : public test::Store, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    Store::SetUp();
    if (IsSkipped()) return;
    if (GetParam().driver == std::string_view("fuse-overlayfs")) {
      if (::access("/usr/bin/fuse-overlayfs", X_OK) != 0) GTEST_SKIP() << "fuse-overlayfs is not installed";
      if (!UniqueFd(::open("/dev/fuse", O_RDWR | O_CLOEXEC))) GTEST_SKIP() << "/dev/fuse cannot be opened";
    }
    if (GetParam().mapped)
      maps_ = {ids::IdMap::contiguous(ids::HostId{165536}, 65536), ids::IdMap::contiguous(ids::HostId{265536}, 65536)};
    start();
    top_ = image();
  }
  void TearDown() override {
    driver_.reset();
    expect_no_program();
    Store::TearDown();
  }
  // fuse-overlayfs ends with its mount, which the kernel takes apart a moment after the last descriptor is closed.
  void expect_no_program() const {
    std::string found = "not looked for";
    for (int attempt = 0; attempt < 500 && !found.empty(); ++attempt) {
      if (attempt > 0) ::usleep(10'000);
      found = program_with(base_.string());
    }
    EXPECT_EQ(found, "");
  }
  static std::string program_with(const std::string& word) {
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::ifstream in(entry.path() / "cmdline");
      const std::string line(std::istreambuf_iterator<char>(in), {});
      if (line.find("fuse-overlayfs") != line.npos && line.find(word) != line.npos) return entry.path().string();
    }
    return {};
  }
  void start() { driver_ = make_snapshot_driver(GetParam().driver, *root_, *documents_, *layers_); }
  void restart() {
    driver_.reset();
    reopen();
    start();
  }

  Digest image() {
    RawTar base;
    base.add({.name = "./", .type = '5', .mode = 0751});
    base.add({.name = "etc/", .type = '5', .mode = 0755});
    base.add({.name = "etc/passwd", .content = "root", .mode = 0644});
    base.add({.name = "etc/shadow", .content = "secret", .mode = 0600, .gid = 42});
    base.add({.name = "home/user/", .type = '5', .mode = 0700, .uid = 1000, .gid = 1001});
    base.add({.name = "home/user/file", .content = "mine", .uid = 1000, .gid = 1001});
    base.add({.name = "data/a", .content = "a"});
    base.add({.name = "data/sub/b", .content = "b"});
    base.add({.name = "data/sub/c", .content = "c"});
    base.add({.name = "old", .content = "old"});
    base.add({.name = "gone", .content = "gone"});
    base.add_pax({{"SCHILY.xattr.security.capability", std::string("\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)}});
    base.add({.name = "ping", .content = "ping", .mode = 0755});
    const LayerInfo first = unpack(base.end());
    RawTar second;
    second.add({.name = ".wh.gone"});
    second.add({.name = "old", .content = "newer"});
    second.add({.name = "run", .type = '2', .link = "/var/run"});
    second.add({.name = "var/run/", .type = '5'});
    return unpack(second.end(), first.chain).chain;
  }

  kernel::Owner host(std::uint32_t uid, std::uint32_t gid) const { return IdShift(maps_).to_disk(uid, gid); }

  // As a process of the container would: with its root's ids.
  template <typename Function>
  void as_container(Function function) const {
    std::thread([&] {
      const kernel::Owner root = host(0, 0);
      ::setfsgid(root.gid);
      ::setfsuid(root.uid);
      function();
    }).join();
  }
  static void write(int directory, const std::string& name, const std::string& text) {
    const UniqueFd fd(::openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    ASSERT_TRUE(fd) << name << ": " << std::strerror(errno);
    kernel::write_all(fd.get(), std::as_bytes(std::span(text)));
  }
  static std::string read(int directory, const std::string& name) {
    return kernel::read_file(kernel::open_at(directory, name, O_RDONLY).get(), 1000);
  }
  std::string paths(const std::vector<PathChange>& changes) const {
    std::string text;
    for (const auto& change : changes)
      text += fmt::format("{} {}\n", "CAD"[static_cast<int>(change.kind)], change.path);
    return text;
  }
  // What a container does all day.
  void change_things(int root) const {
    as_container([&] {
      write(root, "etc/passwd", "root and more");
      write(root, "new", "new");
      ::mkdirat(root, "made", 0755);
      write(root, "made/in", "in");
      ::linkat(root, "made/in", root, "made/hard", 0);
      ::symlinkat("/canary", root, "made/link");
      ::unlinkat(root, "old", 0);
      ::unlinkat(root, "data/sub/b", 0);
      ::unlinkat(root, "data/sub/c", 0);
      ::unlinkat(root, "data/sub", AT_REMOVEDIR);
      ::mkdirat(root, "data/sub", 0755);
      write(root, "data/sub/d", "d");
      ::fchmodat(root, "var/run", 0711, 0);
      ::mkfifoat(root, "pipe", 0600);
    });
  }

  const SnapshotName name_{"", "c1"};
  ids::IdMaps maps_ = ids::IdMaps::identity();
  std::unique_ptr<SnapshotDriver> driver_;
  Digest top_;
};

INSTANTIATE_TEST_SUITE_P(All, Drivers,
                         ::testing::Values(Case{"overlay2", false}, Case{"overlay2", true}, Case{"vfs", false},
                                           Case{"vfs", true}, Case{"fuse-overlayfs", false},
                                           Case{"fuse-overlayfs", true}),
                         [](const auto& param) {
                           std::string name = param.param.driver;
                           std::erase(name, '-');
                           return name + (param.param.mapped ? "_mapped" : "_plain");
                         });

TEST_P(Drivers, TheRootHasTheImagesFilesWithTheIdsOfTheMap) {
  driver_->prepare(name_, top_, maps_);
  const UniqueFd view = driver_->mount_view(name_, true);
  const auto owner = [&](const std::string& path) {
    const struct stat info = kernel::stat_at(view.get(), path);
    return std::pair{info.st_uid, info.st_gid};
  };
  const auto mapped = [&](std::uint32_t uid, std::uint32_t gid) {
    const auto at = host(uid, gid);
    return std::pair{at.uid, at.gid};
  };
  EXPECT_EQ(owner("etc/passwd"), mapped(0, 0));
  EXPECT_EQ(owner("etc/shadow"), mapped(0, 42));
  EXPECT_EQ(owner("home/user/file"), mapped(1000, 1001));
  EXPECT_EQ(owner("."), mapped(0, 0));
  EXPECT_EQ(kernel::stat_at(view.get(), ".").st_mode & 07777U, 0751U);
  EXPECT_EQ(read(view.get(), "old"), "newer");
  EXPECT_FALSE(kernel::try_stat_at(view.get(), "gone"));
  EXPECT_TRUE(kernel::try_stat_at(view.get(), "proc")) << "mount points are there";
}

TEST_P(Drivers, MountPointsAreNoChanges) {
  driver_->prepare(name_, top_, maps_);
  EXPECT_EQ(paths(driver_->changes(name_)), "");
  EXPECT_EQ(driver_->usage(name_).writable_bytes, 0U);
}

TEST_P(Drivers, ChangesAreThoseOfDockerDiff) {
  driver_->prepare(name_, top_, maps_);
  change_things(driver_->mount_view(name_, false).get());
  // /data only got another time; a directory's time says nothing under fuse-overlayfs.
  const std::string with_time = driver_->name() == "fuse-overlayfs" ? "" : "C /data\n";
  EXPECT_EQ(paths(driver_->changes(name_)), with_time +
                                                "C /data/sub\n"
                                                "D /data/sub/b\n"
                                                "D /data/sub/c\n"
                                                "A /data/sub/d\n"
                                                "C /etc/passwd\n"
                                                "A /made\n"
                                                "A /made/hard\n"
                                                "A /made/in\n"
                                                "A /made/link\n"
                                                "A /new\n"
                                                "D /old\n"
                                                "A /pipe\n"
                                                "C /var/run\n");
}

TEST_P(Drivers, CommittedChangesGiveTheSameTree) {
  driver_->prepare(name_, top_, maps_);
  change_things(driver_->mount_view(name_, false).get());
  StringSink sink;
  driver_->export_diff(name_, sink);
  const LayerInfo layer = unpack(sink.text(), top_);
  EXPECT_LE(layer.max_uid, 1000U) << "ids of the container, not of the host";
  const SnapshotName copy{"", "c2"};
  driver_->prepare(copy, layer.chain, maps_);
  // Times of directories differ by what the comparison itself needs; names, modes, owners and bytes must not.
  const auto tree = [&](const SnapshotName& name) {
    const UniqueFd view = driver_->mount_view(name, true);
    return tree_of(fmt::format("/proc/self/fd/{}", view.get()) + "/.", false);
  };
  EXPECT_EQ(tree(name_), tree(copy));
  EXPECT_EQ(paths(driver_->changes(copy)), "");
  const UniqueFd view = driver_->mount_view(copy, true);
  EXPECT_EQ(kernel::stat_at(view.get(), "made/in").st_nlink, 2U);
}

TEST_P(Drivers, AReplacedDirectoryHidesAllThatWasInIt) {
  RawTar tar;
  tar.add({.name = "top/in/gone", .content = "1"});
  tar.add({.name = "top/in/kept", .content = "2"});
  tar.add({.name = "top/file", .content = "3"});
  const Digest image = unpack(tar.end()).chain;
  driver_->prepare(name_, image, maps_);
  {
    const UniqueFd view = driver_->mount_view(name_, false);
    as_container([&] {
      const int root = view.get();
      for (const char* file : {"top/in/gone", "top/in/kept", "top/file"}) EXPECT_EQ(::unlinkat(root, file, 0), 0);
      for (const char* directory : {"top/in", "top"}) EXPECT_EQ(::unlinkat(root, directory, AT_REMOVEDIR), 0);
      for (const char* directory : {"top", "top/in"}) EXPECT_EQ(::mkdirat(root, directory, 0755), 0);
      write(root, "top/in/kept", "new");
    });
  }
  EXPECT_EQ(paths(driver_->changes(name_)), "C /top\nD /top/file\nC /top/in\nD /top/in/gone\nC /top/in/kept\n");
  StringSink sink;
  driver_->export_diff(name_, sink);
  const SnapshotName copy{"", "c2"};
  driver_->prepare(copy, unpack(sink.text(), image).chain, maps_);
  const UniqueFd view = driver_->mount_view(copy, true);
  EXPECT_FALSE(kernel::try_stat_at(view.get(), "top/in/gone"));
  EXPECT_FALSE(kernel::try_stat_at(view.get(), "top/file"));
  EXPECT_EQ(read(view.get(), "top/in/kept"), "new");
}

TEST_P(Drivers, WhatWasRemovedStaysRemovedInTheNextView) {
  driver_->prepare(name_, top_, maps_);
  { change_things(driver_->mount_view(name_, false).get()); }
  for (const bool read_only : {true, false}) {
    const UniqueFd view = driver_->mount_view(name_, read_only);
    EXPECT_FALSE(kernel::try_stat_at(view.get(), "old"));
    EXPECT_FALSE(kernel::try_stat_at(view.get(), "data/sub/b"));
    EXPECT_EQ(read(view.get(), "data/sub/d"), "d");
    EXPECT_EQ(read(view.get(), "etc/passwd"), "root and more");
  }
}

TEST_P(Drivers, FileCapabilitiesBelongToTheContainersRoot) {
  driver_->prepare(name_, top_, maps_);
  const UniqueFd view = driver_->mount_view(name_, true);
  const auto value = kernel::get_xattr(kernel::open_at(view.get(), "ping", O_PATH).get(), "security.capability");
  ASSERT_TRUE(value);
  EXPECT_EQ((*value)[3], GetParam().mapped ? 3 : 2);
}

TEST_P(Drivers, LayersStayAsTheyAre) {
  const auto before = tree_of(layers_->directory());
  driver_->prepare(name_, top_, maps_);
  change_things(driver_->mount_view(name_, false).get());
  auto after = tree_of(layers_->directory());
  std::erase_if(after, [](const auto& item) { return item.first.find("-init") != std::string::npos; });
  EXPECT_EQ(after, before);
}

TEST_P(Drivers, NothingIsMountedWhereAnybodySeesIt) {
  const auto mounts = [] {
    std::ifstream in("/proc/self/mountinfo");
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const std::string before = mounts();
  driver_->prepare(name_, top_, maps_);
  const UniqueFd view = driver_->mount_view(name_, false);
  EXPECT_EQ(mounts(), before);
}

TEST_P(Drivers, AReadOnlyViewCannotBeWritten) {
  driver_->prepare(name_, top_, maps_);
  const UniqueFd view = driver_->mount_view(name_, true);
  EXPECT_LT(::openat(view.get(), "etc/passwd", O_WRONLY | O_CLOEXEC), 0);
  EXPECT_EQ(errno, EROFS);
}

TEST_P(Drivers, ViewsHoldTheContainersMounts) {
  driver_->prepare(name_, top_, maps_);
  fs::create_directories(base_ / "volume/in");
  std::ofstream(base_ / "file") << "bound";
  for (const bool read_only : {true, false}) {
    std::vector<ViewMount> extra;
    // Through the image's link /run -> /var/run: CVE-2026-42306's fix of others broke this.
    extra.push_back({"/run/volume", kernel::clone_tree(AT_FDCWD, (base_ / "volume").string(), false), false});
    extra.push_back({"/etc/bound", kernel::clone_tree(AT_FDCWD, (base_ / "file").string(), false), true});
    const UniqueFd view = driver_->mount_view(name_, read_only, std::move(extra));
    EXPECT_TRUE(kernel::try_stat_at(view.get(), "var/run/volume/in"));
    EXPECT_EQ(read(view.get(), "etc/bound"), "bound");
    EXPECT_LT(::openat(view.get(), "etc/bound", O_WRONLY | O_CLOEXEC), 0);
  }
  EXPECT_TRUE(fs::is_empty(base_ / "volume/in"));
}

TEST_P(Drivers, CVE_2018_15664_MountDestinationsStayInside) {
  driver_->prepare(name_, top_, maps_);
  {
    const UniqueFd view = driver_->mount_view(name_, false);
    as_container([&] { ::symlinkat((base_ / "canary").c_str(), view.get(), "evil"); });
  }
  fs::create_directories(base_ / "volume");
  std::vector<ViewMount> extra;
  extra.push_back({"/evil/dir", kernel::clone_tree(AT_FDCWD, (base_ / "volume").string(), false), false});
  // The link dangles inside of the root, so there is no such place.
  EXPECT_THROW(driver_->mount_view(name_, false, std::move(extra)), Error);
}

TEST_P(Drivers, UsageCountsWhatWasWritten) {
  driver_->prepare(name_, top_, maps_);
  {
    const UniqueFd view = driver_->mount_view(name_, false);
    as_container([&] { write(view.get(), "big", std::string(100'000, 'x')); });
  }
  const SnapshotUsage usage = driver_->usage(name_);
  EXPECT_EQ(usage.writable_bytes, 100'000U);
  EXPECT_GE(usage.virtual_bytes, 100'000U + 20U);
}

TEST_P(Drivers, TwoMapsOverTheSameLayersAtOnce) {
  const ids::IdMaps other{ids::IdMap::contiguous(ids::HostId{500000}, 65536),
                          ids::IdMap::contiguous(ids::HostId{500000}, 65536)};
  const SnapshotName second{"500000.500000", "c1"};
  driver_->prepare(name_, top_, maps_);
  driver_->prepare(second, top_, other);
  const UniqueFd one = driver_->mount_view(name_, true);
  const UniqueFd two = driver_->mount_view(second, true);
  EXPECT_EQ(kernel::stat_at(one.get(), "home/user/file").st_uid, host(1000, 0).uid);
  EXPECT_EQ(kernel::stat_at(two.get(), "home/user/file").st_uid, 501000U);
  EXPECT_EQ(driver_->list().size(), 2U);
}

TEST_P(Drivers, NamesAreUniqueAndPlain) {
  driver_->prepare(name_, top_, maps_);
  try {
    driver_->prepare(name_, top_, maps_);
    FAIL() << "twice";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::conflict);
  }
  for (const auto* bad : {"", "..", "a/b", "."}) EXPECT_THROW(driver_->prepare({"", bad}, top_, maps_), Error) << bad;
  EXPECT_THROW(driver_->prepare({"../x", "c"}, top_, maps_), Error);
  EXPECT_THROW(driver_->describe({"", "none"}), Error);
}

TEST_P(Drivers, AnImageWithoutLayersIsFine) {
  driver_->prepare(name_, std::nullopt, maps_);
  const UniqueFd view = driver_->mount_view(name_, false);
  EXPECT_TRUE(kernel::try_stat_at(view.get(), "etc/hosts"));
  as_container([&] { write(view.get(), "f", "x"); });
  EXPECT_EQ(paths(driver_->changes(name_)), "A /f\n");
}

TEST_P(Drivers, SnapshotsSurviveARestartAndUnfinishedOnesDoNot) {
  driver_->prepare(name_, top_, maps_);
  { change_things(driver_->mount_view(name_, false).get()); }
  const std::string before = paths(driver_->changes(name_));
  fs::create_directories(base_ / "root/snapshots/unfinished/upper");
  documents_->put({"other", "", "x"}, "{}");
  restart();
  EXPECT_EQ(driver_->list().size(), 1U);
  EXPECT_EQ(driver_->list()[0].top, top_);
  EXPECT_EQ(paths(driver_->changes(name_)), before);
  EXPECT_FALSE(fs::exists(base_ / "root/snapshots/unfinished"));
  EXPECT_TRUE(clean());
}

// Of what a power cut may leave: the record, which was synced, and not the rename of the directory before it.
TEST_P(Drivers, ASnapshotWhoseDirectoryACrashHasTakenGetsANewOne) {
  driver_->prepare(name_, top_, maps_);
  documents_->flush();
  fs::remove_all(base_ / "root/snapshots/c1");
  restart();
  ASSERT_TRUE(driver_->exists(name_));
  EXPECT_EQ(paths(driver_->changes(name_)), "");
  {
    const UniqueFd view = driver_->mount_view(name_, false);
    EXPECT_EQ(read(view.get(), "etc/passwd"), "root");
    EXPECT_EQ(kernel::stat_fd(view.get()).st_uid, host(0, 0).uid);
    EXPECT_EQ(kernel::stat_fd(view.get()).st_mode & 07777U, 0751U);
    as_container([&] { write(view.get(), "f", "x"); });
  }
  EXPECT_EQ(paths(driver_->changes(name_)), "A /f\n");
}

TEST_P(Drivers, CVE_2017_1002102_RemovingNeverLeavesTheTree) {
  driver_->prepare(name_, top_, maps_);
  {
    const UniqueFd view = driver_->mount_view(name_, false);
    as_container([&] {
      ::symlinkat((base_ / "canary").c_str(), view.get(), "evil");
      ::symlinkat("../../../../../canary", view.get(), "evil2");
    });
  }
  driver_->remove(name_);
  driver_->remove(name_);
  EXPECT_FALSE(driver_->exists(name_));
  EXPECT_TRUE(clean());
  driver_->prepare(name_, top_, maps_);
  restart();
  EXPECT_TRUE(driver_->exists(name_));
}

TEST(OverlayOnly, StartingUnderAMapCopiesNothing) {
  // Covered for both drivers above; that overlay2 leaves an empty upper directory is the promise of goal 6.
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  char name[] = "/tmp/bryo-overlay-XXXXXX";
  const fs::path base = ::mkdtemp(name);
  {
    DataRoot root((base / "root").string());
    DocumentStore documents(root.path());
    LayerStore layers(root, documents);
    const auto driver = make_snapshot_driver("overlay2", root, documents, layers);
    RawTar tar;
    tar.add({.name = "big", .content = std::string(5'000'000, 'x')});
    const std::string bytes = tar.end();
    MemorySource source(bytes);
    const LayerInfo layer = layers.unpack({}, source);
    const ids::IdMaps maps{ids::IdMap::contiguous(ids::HostId{165536}, 65536),
                           ids::IdMap::contiguous(ids::HostId{165536}, 65536)};
    driver->prepare({"", "c"}, layer.chain, maps);
    const RootfsDescription rootfs = driver->describe({"", "c"});
    EXPECT_TRUE(rootfs.idmap);
    EXPECT_TRUE(fs::is_empty(rootfs.upper));
    EXPECT_EQ(kernel::stat_at(AT_FDCWD, rootfs.upper).st_uid, 165536U);
    EXPECT_EQ(kernel::stat_at(AT_FDCWD, layers.path_of(layer.chain) + "/big").st_uid, 0U);
  }
  fs::remove_all(base);
}

}  // namespace
}  // namespace bryo::storage

#include "kernel/paths.hpp"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/error.hpp"
#include "kernel/files.hpp"

namespace bryo::kernel {
namespace {

namespace fs = std::filesystem;

// tree/ is what a hostile party writes; canary/ beside it must never be reached.
class Paths : public ::testing::TestWithParam<Resolver> {
 protected:
  Paths() {
    char name[] = "/tmp/bryo-paths-XXXXXX";
    base_ = ::mkdtemp(name);
    fs::create_directories(base_ / "tree/a/b");
    fs::create_directories(base_ / "canary");
    write(base_ / "canary/secret", "canary");
    write(base_ / "tree/a/file", "inside");
    root_.emplace(RootDirectory::open((base_ / "tree").string()));
  }
  ~Paths() override { fs::remove_all(base_); }

  static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  UniqueFd open(const std::string& path, int flags = O_PATH, Scope scope = Scope::in_root) const {
    return open_below(root_->fd(), path, flags, 0600, scope, GetParam());
  }
  int error_of(const std::string& path, int flags = O_PATH, Scope scope = Scope::in_root) const {
    try {
      open(path, flags, scope);
      return 0;
    } catch (const Error& error) {
      return error.number() != 0 ? error.number() : -1;
    }
  }
  std::string text_of(const std::string& path) const {
    const UniqueFd fd = open(path, O_RDONLY);
    return read_file(fd.get(), 100);
  }

  fs::path base_;
  std::optional<RootDirectory> root_;
};

INSTANTIATE_TEST_SUITE_P(Resolvers, Paths, ::testing::Values(Resolver::openat2, Resolver::walk),
                         [](const auto& param) { return param.param == Resolver::openat2 ? "openat2" : "walk"; });

TEST_P(Paths, PlainNamesAreFound) {
  EXPECT_EQ(text_of("a/file"), "inside");
  EXPECT_EQ(text_of("/a//./b/../file"), "inside");
  EXPECT_EQ(error_of("a/none"), ENOENT);
  EXPECT_EQ(error_of("a/file/x"), ENOTDIR);
}

TEST_P(Paths, DotDotStopsAtTheTop) {
  EXPECT_EQ(text_of("../../../../a/file"), "inside");
  EXPECT_EQ(error_of("../canary/secret"), ENOENT);
  EXPECT_EQ(error_of("../canary", O_PATH, Scope::beneath), EXDEV);
  EXPECT_EQ(error_of("/a", O_PATH, Scope::beneath), EXDEV);
}

TEST_P(Paths, AbsoluteLinksStartAtTheTree_VarRun) {
  fs::create_directories(base_ / "tree/run");
  fs::create_directories(base_ / "tree/var");
  fs::create_symlink("/run", base_ / "tree/var/run");
  write(base_ / "tree/run/pid", "1");
  EXPECT_EQ(text_of("/var/run/pid"), "1");
}

TEST_P(Paths, CVE_2018_15664_LinksNeverLeadOut) {
  fs::create_symlink(base_ / "canary", base_ / "tree/abs");
  fs::create_symlink("../canary", base_ / "tree/rel");
  fs::create_symlink("a/../../canary", base_ / "tree/mixed");
  for (const auto* name : {"abs/secret", "rel/secret", "mixed/secret"}) EXPECT_EQ(error_of(name), ENOENT) << name;
  fs::create_symlink("a", base_ / "tree/good");
  EXPECT_EQ(text_of("good/file"), "inside");
  EXPECT_EQ(error_of("good/file", O_PATH, Scope::beneath), ELOOP);
}

TEST_P(Paths, LinkLoopsEnd) {
  fs::create_symlink("two", base_ / "tree/one");
  fs::create_symlink("one", base_ / "tree/two");
  EXPECT_EQ(error_of("one/x"), ELOOP);
}

TEST_P(Paths, CVE_2026_39822_TrailingSlashDoesNotVoidNofollow) {
  fs::create_symlink("a", base_ / "tree/link");
  EXPECT_EQ(error_of("link/", O_PATH | O_NOFOLLOW), ENOTDIR);
  EXPECT_EQ(error_of("link", O_RDONLY | O_NOFOLLOW), ELOOP);
  const UniqueFd link = open("link", O_PATH | O_NOFOLLOW);
  EXPECT_TRUE(S_ISLNK(stat_fd(link.get()).st_mode));
  EXPECT_EQ(error_of("link/"), 0);
}

TEST_P(Paths, NulIsRefused) { EXPECT_EQ(error_of(std::string("a\0/../x", 7)), -1); }

TEST_P(Paths, CreatingThroughADanglingLinkStaysInside) {
  fs::create_symlink("/new/file", base_ / "tree/link");
  fs::create_directories(base_ / "tree/new");
  open("link", O_WRONLY | O_CREAT);
  EXPECT_TRUE(fs::exists(base_ / "tree/new/file"));
  EXPECT_EQ(error_of("link", O_WRONLY | O_CREAT | O_EXCL), EEXIST);
}

TEST_P(Paths, AFifoDoesNotHoldTheReader) {
  ASSERT_EQ(::mkfifo((base_ / "tree/fifo").c_str(), 0600), 0);
  EXPECT_EQ(error_of("fifo", O_RDONLY), 0);
}

// T2 of security.md in small: a component flips between a directory and a link to the canary.
TEST_P(Paths, CVE_2018_15664_SwappedComponentNeverLeadsOut) {
  write(base_ / "tree/a/secret", "inside");
  fs::create_symlink(base_ / "canary", base_ / "tree/evil");
  std::atomic<bool> stop = false;
  std::thread swapper([&] {
    while (!stop)
      ::renameat2(AT_FDCWD, (base_ / "tree/a").c_str(), AT_FDCWD, (base_ / "tree/evil").c_str(), RENAME_EXCHANGE);
  });
  int seen = 0;
  for (int i = 0; i < 5000; ++i) {
    try {
      const UniqueFd fd = open("a/secret", O_RDONLY);
      EXPECT_EQ(read_file(fd.get(), 100), "inside");
      ++seen;
    } catch (const Error& error) {
      EXPECT_TRUE(error.number() == ENOENT || error.number() == EAGAIN || error.number() == ENOTDIR) << error.message();
    }
  }
  stop = true;
  swapper.join();
  EXPECT_GT(seen, 0);
}

TEST_F(Paths, ParentOfPathsThatMeanADirectory) {
  for (const auto* path : {"/", "", ".", "a/.", "a/..", "a/b/../"}) {
    const auto parent = root_->resolve_parent(path);
    EXPECT_EQ(parent.name, ".") << path;
    EXPECT_TRUE(parent.must_be_directory) << path;
  }
  const auto plain = root_->resolve_parent("a/new");
  EXPECT_EQ(plain.name, "new");
  EXPECT_FALSE(plain.must_be_directory);
  EXPECT_TRUE(root_->resolve_parent("a/new/").must_be_directory);
  EXPECT_THROW(root_->resolve_parent("none/new"), Error);
}

TEST_F(Paths, MakeDirectoriesFollowsInsideAndRefusesDanglingLinks) {
  fs::create_symlink("/a", base_ / "tree/link");
  root_->make_directories("link/x/y", 0750, Owner{});
  EXPECT_TRUE(fs::is_directory(base_ / "tree/a/x/y"));
  EXPECT_EQ(stat_at(AT_FDCWD, (base_ / "tree/a/x").string()).st_mode & 07777U, 0750U);
  fs::create_symlink(base_ / "canary/made", base_ / "tree/dangling");
  EXPECT_THROW(root_->make_directories("dangling/z"), Error);
  EXPECT_FALSE(fs::exists(base_ / "canary/made"));
}

TEST_F(Paths, RemoveTreeRemovesLinksNotTheirTargets_CVE_2017_1002102) {
  fs::create_directories(base_ / "tree/gone/deep/er");
  fs::create_symlink(base_ / "canary", base_ / "tree/gone/link");
  fs::create_symlink("../../canary", base_ / "tree/gone/deep/link");
  remove_tree(root_->fd(), "gone");
  EXPECT_FALSE(fs::exists(base_ / "tree/gone"));
  EXPECT_TRUE(fs::exists(base_ / "canary/secret"));
  remove_tree(root_->fd(), "gone");
  EXPECT_THROW(remove_tree(root_->fd(), ".."), Error);
}

TEST_F(Paths, RemoveTreeNeverEntersAMount_CVE_2017_1002102) {
  fs::create_directories(base_ / "tree/gone/mnt");
  write(base_ / "tree/gone/other", "x");
  if (::mount((base_ / "canary").c_str(), (base_ / "tree/gone/mnt").c_str(), nullptr, MS_BIND, nullptr) != 0)
    GTEST_SKIP() << "cannot mount here";
  EXPECT_THROW(remove_tree(root_->fd(), "gone"), Error);
  ::umount((base_ / "tree/gone/mnt").c_str());
  EXPECT_TRUE(fs::exists(base_ / "canary/secret"));
  EXPECT_FALSE(fs::exists(base_ / "tree/gone/other"));
  remove_tree(root_->fd(), "gone");
  EXPECT_FALSE(fs::exists(base_ / "tree/gone"));
}

TEST_F(Paths, RemoveTreeTakesTreesDeeperThanAnyStack) {
  make_directory(root_->fd(), "deep", 0700);
  UniqueFd here = open_at(root_->fd(), "deep", O_PATH | O_DIRECTORY);
  for (int i = 0; i < 3000; ++i) {
    make_directory(here.get(), "d", 0700);
    here = open_at(here.get(), "d", O_PATH | O_DIRECTORY);
  }
  here.reset();
  remove_tree(root_->fd(), "deep");
  EXPECT_FALSE(try_stat_at(root_->fd(), "deep"));
}

TEST_F(Paths, CVE_2026_32282_ChangeModeOfALinkIsRefused) {
  fs::create_symlink("a/file", base_ / "tree/link");
  const mode_t before = stat_at(root_->fd(), "a/file").st_mode;
  const UniqueFd link = root_->resolve("link", O_PATH | O_NOFOLLOW);
  EXPECT_THROW(change_mode(link.get(), 0777), Error);
  EXPECT_EQ(stat_at(root_->fd(), "a/file").st_mode, before);
}

}  // namespace
}  // namespace bryo::kernel

#include "rootless/usernet/resolver_watch.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace bryo::rootless::usernet {
namespace {

namespace fs = std::filesystem;

// A little /etc and /run.
class ResolverWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "resolver-watch-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    fs::create_directory(root_ / "etc");
    fs::create_directory(root_ / "run");
  }
  void TearDown() override { fs::remove_all(root_); }

  static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  // True as soon as the watch wakes and shows this text; each wake-up reads anew, as the supervisor does.
  static bool comes(ResolverWatch& watch, const std::string& text) {
    for (int i = 0; i < 50; ++i) {
      pollfd wanted = {watch.descriptor(), POLLIN, 0};
      if (::poll(&wanted, 1, 2000) != 1) return false;
      if (watch.read() == text) return true;
    }
    return false;
  }

  fs::path root_;
};

TEST_F(ResolverWatchTest, AFileWrittenInPlaceOrRenamedOver) {
  const fs::path file = root_ / "etc/resolv.conf";
  write(file, "one");
  ResolverWatch watch(file);
  EXPECT_EQ(watch.read(), "one");
  write(file, "two");
  EXPECT_TRUE(comes(watch, "two"));
  write(root_ / "etc/new", "three");
  fs::rename(root_ / "etc/new", file);
  EXPECT_TRUE(comes(watch, "three"));
  fs::remove(file);
  EXPECT_TRUE(comes(watch, ""));
  write(file, "four");
  EXPECT_TRUE(comes(watch, "four"));
}

// systemd-resolved: /etc/resolv.conf -> ../run/systemd/resolve/stub-resolv.conf, replaced by rename.
TEST_F(ResolverWatchTest, TheTargetOfALink) {
  fs::create_directories(root_ / "run/systemd/resolve");
  const fs::path target = root_ / "run/systemd/resolve/stub-resolv.conf";
  write(target, "one");
  fs::create_symlink("../run/systemd/resolve/stub-resolv.conf", root_ / "etc/resolv.conf");
  ResolverWatch watch(root_ / "etc/resolv.conf");
  EXPECT_EQ(watch.read(), "one");
  write(root_ / "run/systemd/resolve/new", "two");
  fs::rename(root_ / "run/systemd/resolve/new", target);
  EXPECT_TRUE(comes(watch, "two"));
  // The link itself is changed.
  write(root_ / "run/other", "three");
  fs::create_symlink(root_ / "run/other", root_ / "etc/link");
  fs::rename(root_ / "etc/link", root_ / "etc/resolv.conf");
  EXPECT_TRUE(comes(watch, "three"));
  write(root_ / "run/other", "four");
  EXPECT_TRUE(comes(watch, "four")) << "it watches the new target";
}

// Before the resolver's first start, and when its directory is made anew.
TEST_F(ResolverWatchTest, DirectoriesThatComeLater) {
  fs::create_symlink("../run/systemd/resolve/resolv.conf", root_ / "etc/resolv.conf");
  ResolverWatch watch(root_ / "etc/resolv.conf");
  EXPECT_EQ(watch.read(), "");
  fs::create_directories(root_ / "run/systemd/resolve");
  write(root_ / "run/systemd/resolve/resolv.conf", "one");
  EXPECT_TRUE(comes(watch, "one"));
  fs::remove_all(root_ / "run/systemd");
  EXPECT_TRUE(comes(watch, ""));
  fs::create_directories(root_ / "run/systemd/resolve");
  write(root_ / "run/systemd/resolve/resolv.conf", "two");
  EXPECT_TRUE(comes(watch, "two"));
}

TEST_F(ResolverWatchTest, LinksThatGoInCircles) {
  fs::create_symlink("resolv.conf", root_ / "etc/resolv.conf");
  ResolverWatch watch(root_ / "etc/resolv.conf");
  EXPECT_EQ(watch.read(), "");
}

}  // namespace
}  // namespace bryo::rootless::usernet

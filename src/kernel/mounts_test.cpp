// Overlay mounts in both ways of getting layers into the kernel, and what a detached mount is.
#include "kernel/mounts.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "base/error.hpp"
#include "kernel/idmap.hpp"
#include "kernel/namespaces.hpp"
#include "kernel/processes.hpp"

namespace bryo::kernel {
namespace {

namespace fs = std::filesystem;

class OverlayMount : public ::testing::TestWithParam<OverlayMethod> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    char name[] = "/tmp/bryo-mounts-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    base_ = name;
    for (const char* path : {"layers/a/d", "layers/b", "upper", "work"}) fs::create_directories(base_ + "/" + path);
    std::ofstream(base_ + "/layers/a/file") << "a";
    std::ofstream(base_ + "/layers/b/file") << "b";
    layers_.upper = base_ + "/upper";
    layers_.work = base_ + "/work";
  }
  void TearDown() override {
    if (!base_.empty()) fs::remove_all(base_);
  }
  static std::string read_at(const UniqueFd& directory, const char* name) {
    const UniqueFd fd(::openat(directory.get(), name, O_RDONLY | O_CLOEXEC));
    char text[64] = {};
    return fd && ::read(fd.get(), text, sizeof text - 1) >= 0 ? text : "cannot be read";
  }

  std::string base_;
  OverlayLayers layers_;
};

TEST_P(OverlayMount, FirstLayerIsOnTop) {
  layers_.lower = {base_ + "/layers/b", base_ + "/layers/a"};
  const UniqueFd mount = overlay_mount(layers_, GetParam());
  EXPECT_EQ(read_at(mount, "file"), "b");
  EXPECT_EQ(::faccessat(mount.get(), "d", F_OK, 0), 0);
}

TEST_P(OverlayMount, LayersBelowAnIdmappedParent) {
  const UniqueFd user = make_user_namespace("0 200000 1000\n", "0 200000 1000\n");
  const UniqueFd parent = clone_tree(AT_FDCWD, base_ + "/layers", false);
  idmap_mount(parent.get(), user.get());
  layers_.parent = parent.get();
  layers_.lower = {"a"};
  const UniqueFd mount = overlay_mount(layers_, GetParam());
  struct stat info = {};
  ASSERT_EQ(::fstatat(mount.get(), "file", &info, 0), 0);
  EXPECT_EQ(info.st_uid, 200000U);
  ASSERT_EQ(::stat((base_ + "/layers/a/file").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U);
}

TEST_P(OverlayMount, LayersBelowAnOrdinaryDirectory) {
  const UniqueFd parent(::open((base_ + "/layers").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  layers_.parent = parent.get();
  layers_.lower = {"b", "a"};
  const UniqueFd mount = overlay_mount(layers_, GetParam());
  EXPECT_EQ(read_at(mount, "file"), "b");
}

TEST_P(OverlayMount, ManyLayersWithLongNames) {
  for (int i = 0; i < 100; ++i) {
    const std::string name = fmt::format("{:064}", i);
    fs::create_directories(base_ + "/layers/" + name);
    std::ofstream(base_ + "/layers/" + name + "/n" + std::to_string(i)) << "x";
    layers_.lower.push_back(base_ + "/layers/" + name);
  }
  const UniqueFd mount = overlay_mount(layers_, GetParam());
  EXPECT_EQ(::faccessat(mount.get(), "n0", F_OK, 0), 0);
  EXPECT_EQ(::faccessat(mount.get(), "n99", F_OK, 0), 0);
}

TEST_P(OverlayMount, NothingIsAttachedAndWeAreWhereWeWere) {
  const UniqueFd before = open_namespace(::getpid(), "mnt");
  layers_.lower = {base_ + "/layers/a"};
  std::ifstream mounts_before("/proc/self/mountinfo");
  const std::string text_before{std::istreambuf_iterator<char>(mounts_before), {}};
  const std::string directory_before = fs::current_path();
  const UniqueFd mount = overlay_mount(layers_, GetParam());
  const UniqueFd after = open_namespace(::getpid(), "mnt");
  EXPECT_TRUE(same_namespace(before.get(), after.get()));
  EXPECT_EQ(fs::current_path(), directory_before);
  std::ifstream mounts_after("/proc/self/mountinfo");
  const std::string text_after{std::istreambuf_iterator<char>(mounts_after), {}};
  EXPECT_EQ(text_after, text_before);
}

TEST_P(OverlayMount, MissingLayersAreNamed) {
  layers_.lower = {base_ + "/layers/nope"};
  try {
    overlay_mount(layers_, GetParam());
    FAIL() << "must not succeed";
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), ::testing::HasSubstr("layers/nope"));
    EXPECT_EQ(error.kind(), ErrorKind::not_found);
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, OverlayMount,
                         ::testing::Values(OverlayMethod::automatic, OverlayMethod::private_namespace),
                         [](const auto& test) {
                           return test.param == OverlayMethod::automatic ? "automatic" : "private_namespace";
                         });

TEST(Mounts, FileSystemsSayWhatTheyMind) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  NewFilesystem tmpfs("tmpfs");
  try {
    tmpfs.option("size=nonsense");
    FAIL() << "must not succeed";
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), ::testing::HasSubstr("option size=nonsense of tmpfs"));
    EXPECT_THAT(error.message(), ::testing::HasSubstr("Bad value for 'size'"));
  }
}

TEST(Namespaces, PathsAreChecked) {
  EXPECT_TRUE(open_namespace_path("/proc/self/ns/net", namespace_flag("net")));
  EXPECT_THROW(open_namespace_path("/proc/self/ns/net", namespace_flag("ipc")), Error);
  EXPECT_THROW(open_namespace_path("/dev/null", namespace_flag("net")), Error);
  EXPECT_THROW(open_namespace_path("/nope", namespace_flag("net")), Error);
}

// It shares its maker's memory: one that outlived it would hold all of that, with every signal blocked.
TEST(UserNamespaces, NothingIsLeftOfAMakerThatIsKilled) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  int left = 0;
  for (int turn = 0; turn < 20; ++turn) {
    const pid_t maker = ::fork();
    if (maker == 0)
      for (;;) make_user_namespace("0 100000 1\n", "0 100000 1\n");
    ::usleep(static_cast<useconds_t>(5000 + turn * 377));
    ASSERT_EQ(::kill(maker, SIGKILL), 0);
    ASSERT_EQ(::waitpid(maker, nullptr, 0), maker);
    // Who is dying may take its time.
    std::vector<pid_t> orphans;
    for (int look = 0; look < 200; ++look) {
      while (::waitpid(-1, nullptr, WNOHANG | __WALL) > 0) {
      }
      orphans = descendants_of(::getpid());
      if (orphans.empty()) break;
      ::usleep(10'000);
    }
    for (const pid_t orphan : orphans) {
      ++left;
      ::kill(orphan, SIGKILL);
      ::waitpid(orphan, nullptr, __WALL);
    }
  }
  EXPECT_EQ(left, 0);
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

}  // namespace
}  // namespace bryo::kernel

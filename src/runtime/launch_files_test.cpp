// The file systems of real containers: layers, binds, volumes, and what the launcher mounts. Needs root.
#include <gmock/gmock.h>

#include "runtime/test_support.hpp"

namespace bryo::runtime::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class OverlayTest : public LaunchTest {
 protected:
  void SetUp() override {
    LaunchTest::SetUp();
    if (IsSkipped()) return;
    namespace fs = std::filesystem;
    fs::create_directories(scratch_ / "layers/two");
    fs::rename(root_, scratch_ / "layers/one");
    write_text(scratch_ / "layers/two/upper-layer", "from two\n");
    fs::create_directories(scratch_ / "upper");
    fs::create_directories(scratch_ / "work");
    source_.kind = RootfsSource::Kind::overlay;
    source_.lower = {"two", "one"};
    source_.lower_parent = scratch_ / "layers";
    source_.upper = scratch_ / "upper";
    source_.work = scratch_ / "work";
  }
  RootfsSource source_;
};

TEST_F(OverlayTest, WritesGoToTheUpperDirectory) {
  const Result result = run(shell_spec("cat /upper-layer; echo new > /file; ls /bin/sh"), source_);
  EXPECT_EQ(result.output, "from two\n/bin/sh\n");
  EXPECT_EQ(read_text(scratch_ / "upper/file"), "new\n");
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "layers/two/file"));
}

TEST_F(OverlayTest, Remap_LowerLayersStayUntouchedAndWritesAreSubordinate) {
  oci::RuntimeSpec spec = shell_spec(
      "stat -c %u /bin/busybox /etc; echo x > /etc/new; echo y >> /etc/passwd; "
      "mkdir /dir; stat -c %u:%g /etc/new /etc/passwd /dir");
  map_ids(spec);
  ASSERT_EQ(::chown((scratch_ / "upper").c_str(), kMapBase, kMapBase), 0);
  ASSERT_EQ(::chown((scratch_ / "work").c_str(), kMapBase, kMapBase), 0);
  source_.lower_idmap = true;
  const Result result = run(spec, source_);
  EXPECT_EQ(result.output, "0\n0\n0:0\n0:0\n0:0\n");
  struct stat info = {};
  ASSERT_EQ(::stat((scratch_ / "upper/etc/passwd").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, kMapBase);
  ASSERT_EQ(::stat((scratch_ / "layers/one/etc/passwd").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U);
  EXPECT_THAT(read_text(scratch_ / "layers/one/etc/passwd"), Not(HasSubstr("y")));
}

TEST_F(LaunchTest, ReadOnlyRootHasWritableMounts) {
  oci::RuntimeSpec spec = shell_spec("touch /x 2>&1; touch /run/x && echo ok; mount | grep ' / '");
  spec.root->readonly = true;
  spec.mounts.push_back({"/run", "tmpfs", "tmpfs", {"nosuid", "size=1m", "mode=700"}, {}, {}});
  const Result result = run(spec, directory(root_));
  EXPECT_THAT(result.output, HasSubstr("Read-only file system"));
  EXPECT_THAT(result.output, HasSubstr("ok\n"));
}

TEST_F(LaunchTest, BindMountsOfDirectoriesAndFilesAreMadeAndReadOnlyWhenAsked) {
  std::filesystem::create_directories(scratch_ / "data");
  write_text(scratch_ / "data/f", "content\n");
  write_text(scratch_ / "hosts", "1.2.3.4 host\n");
  oci::RuntimeSpec spec = shell_spec("cat /a/b/f /etc/hosts; echo w > /a/b/g; echo w > /ro/g");
  spec.mounts.push_back({"/a/b", "bind", scratch_ / "data", {"rbind", "rprivate"}, {}, {}});
  spec.mounts.push_back({"/ro", "bind", scratch_ / "data", {"rbind", "ro", "rprivate"}, {}, {}});
  spec.mounts.push_back({"/etc/hosts", "bind", scratch_ / "hosts", {"rbind", "rprivate"}, {}, {}});
  const Result result = run(spec, directory(root_));
  EXPECT_THAT(result.output, StartsWith("content\n1.2.3.4 host\n"));
  EXPECT_THAT(result.output, HasSubstr("Read-only file system"));
  EXPECT_EQ(read_text(scratch_ / "data/g"), "w\n");
}

TEST_F(LaunchTest, VolumeIsTranslatedByTheContainersMap) {
  std::filesystem::create_directories(scratch_ / "volume");
  write_text(scratch_ / "volume/f", "x");
  ASSERT_EQ(::chown((scratch_ / "volume/f").c_str(), 1000, 1000), 0);
  oci::RuntimeSpec spec = shell_spec("stat -c %u:%g /v /v/f; echo new > /v/n");
  map_ids(spec);
  spec.mounts.push_back({"/v", "bind", scratch_ / "volume", {"rbind", "idmap"}, {}, {}});
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  const Result result = run(spec, source);
  EXPECT_EQ(result.output, "0:0\n1000:1000\n");
  struct stat info = {};
  ASSERT_EQ(::stat((scratch_ / "volume/n").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U) << "volumes keep the ids of the container on disk";
}

// Only the calling user's own id is translated to the container's user; the rest shows as nobody.
TEST_F(LaunchTest, BindWithMappingsOfItsOwn) {
  std::filesystem::create_directories(scratch_ / "home");
  write_text(scratch_ / "home/mine", "x");
  write_text(scratch_ / "home/roots", "x");
  ASSERT_EQ(::chown((scratch_ / "home/mine").c_str(), 1234, 1234), 0);
  oci::RuntimeSpec spec = shell_spec("stat -c %u /h/mine /h/roots");
  map_ids(spec);
  // On-disk 1234 appears as the host's id of container root.
  spec.mounts.push_back({"/h", "bind", scratch_ / "home", {"rbind"}, {{1234, kMapBase, 1}}, {{1234, kMapBase, 1}}});
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  EXPECT_EQ(run(spec, source).output, "0\n65534\n");
}

TEST_F(LaunchTest, FilesystemsMadeEarlyAreMountedInTheirTurn) {
  oci::RuntimeSpec spec =
      shell_spec("while read -r d p t r; do case $p in /proc|/dev|/list/*) echo $p $t;; esac; done </proc/mounts");
  PlanOptions options;
  options.mounts_in_order = true;
  spec.mounts.push_back({"/list/first", "tmpfs", "tmpfs", {"mode=700"}, {}, {}});
  spec.mounts.push_back({"/list/second", "mqueue", "mqueue", {}, {}, {}});
  spec.mounts.push_back({"/list/third", "tmpfs", "tmpfs", {"size=1m"}, {}, {}});
  const Result result = run(spec, directory(root_), options);
  EXPECT_EQ(result.status, 0);
  // Linux lists by age since 6.8, and clones what the launcher made since 6.15.
  if (facts().kernel >= 6015) {
    EXPECT_EQ(result.output, "/proc proc\n/dev tmpfs\n/list/first tmpfs\n/list/second mqueue\n/list/third tmpfs\n");
  }
  spec.mounts[spec.mounts.size() - 2].options = {"nonsense=1"};
  spec.mounts.back().options = {"mode=700", "size=much"};
  EXPECT_THAT(failure_of(spec, directory(root_)), HasSubstr("mount mqueue on /list/second"));
  spec.mounts[spec.mounts.size() - 2].options = {};
  EXPECT_THAT(failure_of(spec, directory(root_)),
              AllOf(HasSubstr("mount tmpfs on /list/third"), HasSubstr("Bad value for 'size'")));
}

}  // namespace
}  // namespace bryo::runtime::testing

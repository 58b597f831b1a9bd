#include "kernel/files.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/error.hpp"
#include "kernel/idmap.hpp"

namespace bryo::kernel {
namespace {

namespace fs = std::filesystem;

class Files : public ::testing::Test {
 protected:
  Files() {
    char name[] = "/tmp/bryo-files-XXXXXX";
    base_ = ::mkdtemp(name);
    directory_ = open_trusted(base_.string(), O_RDONLY | O_DIRECTORY);
  }
  ~Files() override { fs::remove_all(base_); }
  int at() const { return directory_.get(); }

  fs::path base_;
  UniqueFd directory_;
};

TEST_F(Files, DurableWriteReplacesAndLeavesNothingElse) {
  write_file_durably(at(), "state", "one", 0640);
  write_file_durably(at(), "state", "two", 0640);
  const UniqueFd file = open_at(at(), "state", O_RDONLY);
  EXPECT_EQ(read_file(file.get(), 10), "two");
  EXPECT_EQ(stat_fd(file.get()).st_mode & 07777U, 0640U);
  EXPECT_EQ(read_directory(at()).size(), 1U);
}

TEST_F(Files, ReadFileIsBounded) {
  write_file_durably(at(), "big", std::string(100, 'x'));
  const UniqueFd file = open_at(at(), "big", O_RDONLY);
  EXPECT_THROW(read_file(file.get(), 99), Error);
}

TEST_F(Files, ModeOwnerTimesAndAttributesOfPathDescriptors) {
  write_file_durably(at(), "f", "x");
  const UniqueFd path = open_at(at(), "f", O_PATH);
  change_mode(path.get(), 04711);
  set_times(path.get(), {1, 0}, {2, 5});
  set_xattr(path.get(), "user.note", "hello");
  const struct stat info = stat_fd(path.get());
  EXPECT_EQ(info.st_mode & 07777U, 04711U);
  EXPECT_EQ(info.st_mtim.tv_sec, 2);
  EXPECT_EQ(get_xattr(path.get(), "user.note"), "hello");
  EXPECT_EQ(get_xattr(path.get(), "user.none"), std::nullopt);
  EXPECT_EQ(list_xattrs(path.get()), std::vector<std::string>{"user.note"});
}

TEST_F(Files, AttributesOfALinkAreTheLinksOwn) {
  if (::geteuid() != 0) GTEST_SKIP() << "trusted attributes need root";
  write_file_durably(at(), "f", "x");
  make_symlink("f", at(), "link");
  const UniqueFd link = open_at(at(), "link", O_PATH);
  set_xattr(link.get(), "trusted.note", "on the link");
  const UniqueFd file = open_at(at(), "f", O_PATH);
  EXPECT_EQ(get_xattr(file.get(), "trusted.note"), std::nullopt);
  EXPECT_EQ(get_xattr(link.get(), "trusted.note"), "on the link");
}

TEST_F(Files, LinkOfADescriptor) {
  write_file_durably(at(), "f", "x");
  const UniqueFd file = open_at(at(), "f", O_PATH);
  link_fd(file.get(), at(), "g");
  EXPECT_EQ(stat_at(at(), "g").st_ino, stat_at(at(), "f").st_ino);
}

TEST_F(Files, LockIsHeldUntilTheDescriptorIsGone) {
  UniqueFd one = open_at(at(), "lock", O_RDWR | O_CREAT, 0600);
  const UniqueFd two = open_at(at(), "lock", O_RDWR);
  EXPECT_TRUE(try_lock(one.get()));
  EXPECT_FALSE(try_lock(two.get()));
  one.reset();
  EXPECT_TRUE(try_lock(two.get()));
}

TEST_F(Files, IdmappedCloneShowsShiftedOwners) {
  if (::geteuid() != 0) GTEST_SKIP() << "idmapped mounts need root";
  write_file_durably(at(), "f", "x");
  UserNamespaces namespaces;
  const auto map = namespaces.get("0 165536 65536\n", "0 165536 65536\n");
  EXPECT_EQ(namespaces.get("0 165536 65536\n", "0 165536 65536\n"), map);
  const UniqueFd mount = clone_tree(at(), "", false);
  idmap_mount(mount.get(), map->get());
  EXPECT_EQ(stat_at(mount.get(), "f").st_uid, 165536U);
  EXPECT_EQ(stat_at(at(), "f").st_uid, 0U);
}

TEST_F(Files, MalformedMapsAreRefused) { EXPECT_THROW(make_user_namespace("0 165536\n", "0 165536 65536\n"), Error); }

}  // namespace
}  // namespace bryo::kernel

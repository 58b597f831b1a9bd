// Whiteouts as files, on a file system that takes no other: overlayfs itself.
#include "storage/whiteouts.hpp"

#include <fcntl.h>
#include <sys/mount.h>

#include "base/error.hpp"
#include "storage/id_shift.hpp"
#include "storage/merged_directory.hpp"
#include "storage/store_test_support.hpp"
#include "storage/tar_test_support.hpp"
#include "storage/tree_changes.hpp"

namespace bryo::storage {
namespace {

namespace fs = std::filesystem;
using test::RawTar;

TEST(Whiteouts, NamesOfFilesThatHide) {
  EXPECT_EQ(hidden_by_file(".wh.a"), "a");
  EXPECT_EQ(hidden_by_file(".wh..hidden"), ".hidden");
  for (const char* name : {"a", ".wh.", ".wh..wh..opq", ".wh..wh.plnk", "x.wh.a"})
    EXPECT_FALSE(hidden_by_file(name)) << name;
}

class OnOverlay : public test::Store {
 protected:
  void SetUp() override {
    Store::SetUp();
    if (IsSkipped()) return;
    close();
    for (const char* name : {"l", "u", "w"}) fs::create_directories(base_ / "below" / name);
    const std::string below = (base_ / "below").string();
    const std::string options = fmt::format("lowerdir={0}/l,upperdir={0}/u,workdir={0}/w", below);
    ASSERT_EQ(::mount("overlay", (base_ / "root").c_str(), "overlay", 0, options.c_str()), 0) << std::strerror(errno);
    mounted_ = true;
    reopen();
  }
  void TearDown() override {
    close();
    if (mounted_) ::umount2((base_ / "root").c_str(), MNT_DETACH);
    Store::TearDown();
  }
  bool mounted_ = false;
};

TEST_F(OnOverlay, LayersHideWhatIsBelowThem) {
  RawTar first;
  for (const char* name : {"gone", "kept", "dir/a", "dir/b", "again/old", "all/x/y"})
    first.add({.name = name, .content = name});
  const LayerInfo below = unpack(first.end());
  RawTar second;
  second.add({.name = ".wh.gone"});
  second.add({.name = "dir/.wh.a"});
  second.add({.name = ".wh.again"});
  second.add({.name = "again/new", .content = "new"});
  second.add({.name = "all/.wh..wh..opq"});
  second.add({.name = "all/x/z", .content = "z"});
  const LayerInfo top = unpack(second.end(), below.chain);
  ASSERT_TRUE(fs::exists(path_of(top) / ".wh.gone")) << "this file system takes devices as whiteouts";
  const MergedDirectory merged = MergedDirectory::open({path_of(top).string(), path_of(below).string()});
  EXPECT_EQ(merged.list(), (std::vector<std::string>{"again", "all", "dir", "kept"}));
  EXPECT_FALSE(merged.find("gone"));
  EXPECT_FALSE(merged.find_path("dir/a"));
  EXPECT_TRUE(merged.find_path("dir/b"));
  EXPECT_EQ(merged.descend("again")->list(), std::vector<std::string>{"new"});
  EXPECT_EQ(merged.descend("all")->list(), std::vector<std::string>{"x"});
  EXPECT_EQ(merged.descend("all")->descend("x")->list(), std::vector<std::string>{"z"});
}

TEST_F(OnOverlay, FilesInAnUpperDirectoryAreDeletions) {
  RawTar tar;
  for (const char* name : {"gone", "kept", "dir/a", "dir/b"}) tar.add({.name = name, .content = name});
  const MergedDirectory below = MergedDirectory::open({path_of(unpack(tar.end())).string()});
  const fs::path upper = base_ / "upper";
  fs::create_directories(upper / "dir");
  for (const char* name : {".wh.gone", ".wh.dir", ".wh.never", "dir/c"}) std::ofstream(upper / name) << "";
  const UniqueFd top = kernel::open_trusted(upper.string(), O_PATH | O_DIRECTORY);
  const IdShift shift(ids::IdMaps::identity());
  std::string text;
  for (const PathChange& change : list_changes(top.get(), below, shift, ChangesForm::upper_with_files))
    if (change.path != "/dir") text += fmt::format("{} {}\n", "CAD"[static_cast<int>(change.kind)], change.path);
  EXPECT_EQ(text, "D /dir/a\nD /dir/b\nA /dir/c\nD /gone\n");
}

}  // namespace
}  // namespace bryo::storage

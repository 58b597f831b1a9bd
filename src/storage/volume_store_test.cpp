#include "storage/volume_store.hpp"

#include "base/error.hpp"
#include "storage/store_test_support.hpp"

namespace bryo::storage {
namespace {

namespace fs = std::filesystem;

class Volumes : public test::Store {
 protected:
  void SetUp() override {
    Store::SetUp();
    if (IsSkipped()) return;
    volumes_ = std::make_unique<VolumeStore>(*root_, *documents_);
    fs::create_directories(base_ / "image/data/sub");
    std::ofstream(base_ / "image/data/file") << "content";
    ASSERT_EQ(::chown((base_ / "image/data/file").c_str(), 166536, 166537), 0);
    ASSERT_EQ(::chown((base_ / "image/data").c_str(), 165636, 165636), 0);
    fs::permissions(base_ / "image/data", fs::perms(0750));
    fs::create_symlink(base_ / "canary", base_ / "image/evil");
  }
  Volume create(const std::string& name, const std::string& scope = "") {
    return volumes_->create({.scope = scope, .name = name});
  }
  kernel::RootDirectory image() const { return kernel::RootDirectory::open((base_ / "image").string()); }
  static ids::IdMaps maps() {
    return {ids::IdMap::contiguous(ids::HostId{165536}, 65536), ids::IdMap::contiguous(ids::HostId{165536}, 65536)};
  }

  std::unique_ptr<VolumeStore> volumes_;
};

TEST_F(Volumes, LiveInDockersPlacesBelowTheirMap) {
  EXPECT_EQ(create("data").mountpoint, (base_ / "root/volumes/data/_data").string());
  EXPECT_EQ(create("data", "165536.165536").mountpoint, (base_ / "root/165536.165536/volumes/data/_data").string());
  EXPECT_EQ(volumes_->list("").size(), 1U);
  EXPECT_EQ(volumes_->list("165536.165536").size(), 1U);
  EXPECT_EQ(kernel::stat_at(AT_FDCWD, (base_ / "root/165536.165536").string()).st_mode & 077U, 0U);
}

TEST_F(Volumes, AnonymousOnesGetALongName) {
  const Volume volume = create("");
  EXPECT_TRUE(volume.anonymous);
  EXPECT_EQ(volume.name.size(), 64U);
}

TEST_F(Volumes, NamesAreValidated) {
  for (const auto* name : {"../x", "a/b", ".", "..", "a", "-a", ".hidden", "a b", "a\n", "ü"})
    EXPECT_THROW(create(name), Error) << name;
  for (const auto* name : {"ab", "A9_.-"}) EXPECT_NO_THROW(create(name)) << name;
  EXPECT_THROW(volumes_->get("", "../data"), Error);
}

TEST_F(Volumes, OptionsFollowTheLocalDriver) {
  VolumeRequest request{.name = "tmp", .options = {{"type", "tmpfs"}, {"device", "tmpfs"}, {"o", "size=1m"}}};
  const auto mount = volumes_->mount_of(volumes_->create(request));
  ASSERT_TRUE(mount);
  EXPECT_EQ(mount->type, "tmpfs");
  EXPECT_EQ(mount->options, "size=1m");
  EXPECT_THROW(volumes_->data(volumes_->get("", "tmp")), Error);
  for (const auto& bad : std::vector<std::map<std::string, std::string>>{
           {{"color", "red"}}, {{"type", "nfs"}}, {{"o", "bind"}}, {{"device", "/x"}}, {{"size", "10m"}}}) {
    request.name = "bad";
    request.options = bad;
    EXPECT_THROW(volumes_->create(request), Error) << bad.begin()->first;
  }
  request.name = "other";
  request.options.clear();
  request.driver = "flocker";
  EXPECT_THROW(volumes_->create(request), Error);
}

TEST_F(Volumes, CreatingTwiceGivesTheSame) {
  const Volume first = volumes_->create({.name = "data", .labels = {{"a", "b"}}});
  std::ofstream(first.mountpoint + "/kept") << "x";
  EXPECT_EQ(create("data").labels, first.labels);
  EXPECT_TRUE(fs::exists(first.mountpoint + "/kept"));
}

TEST_F(Volumes, CopyUpTranslatesIdsAndKeepsTheDirectorysOwn) {
  const Volume volume = create("data");
  EXPECT_TRUE(volumes_->copy_up(volume, image(), "/data", maps()));
  const struct stat top = kernel::stat_at(AT_FDCWD, volume.mountpoint);
  EXPECT_EQ(top.st_uid, 100U);
  EXPECT_EQ(top.st_mode & 07777U, 0750U);
  const struct stat file = kernel::stat_at(AT_FDCWD, volume.mountpoint + "/file");
  EXPECT_EQ(file.st_uid, 1000U);
  EXPECT_EQ(file.st_gid, 1001U);
  EXPECT_TRUE(fs::is_directory(volume.mountpoint + "/sub"));
  EXPECT_EQ(volumes_->size(volume), 7U);
}

TEST_F(Volumes, CVE_2020_1726_ContentIsNeverOverwritten) {
  const Volume volume = create("data");
  std::ofstream(volume.mountpoint + "/file") << "mine";
  EXPECT_FALSE(volumes_->copy_up(volume, image(), "/data", maps()));
  EXPECT_EQ(fs::file_size(volume.mountpoint + "/file"), 4U);
  EXPECT_FALSE(fs::exists(volume.mountpoint + "/sub"));
}

TEST_F(Volumes, CVE_2022_23648_TheSourceIsInsideTheImage) {
  for (const auto* path : {"/evil", "/../../canary", "/data/../../canary", "/evil/dir"}) {
    const Volume volume = create("");
    EXPECT_FALSE(volumes_->copy_up(volume, image(), path, maps())) << path;
    EXPECT_TRUE(fs::is_empty(volume.mountpoint)) << path;
  }
}

TEST_F(Volumes, RemovedOnesAreGoneForGood) {
  const Volume volume = create("data");
  std::ofstream(volume.mountpoint + "/secret") << "x";
  fs::create_symlink(base_ / "canary", volume.mountpoint + "/link");
  volumes_->remove("", "data");
  EXPECT_THROW(volumes_->get("", "data"), Error);
  EXPECT_THROW(volumes_->remove("", "data"), Error);
  EXPECT_TRUE(fs::is_empty(create("data").mountpoint));
  EXPECT_TRUE(clean());
}

TEST_F(Volumes, ARemovalCutShortLeavesNoOldContent) {
  create("data");
  std::ofstream(base_ / "root/volumes/data/_data/secret") << "x";
  root_->set_step_hook([](std::string_view step) {
    if (step == "volume: record erased") throw Error(ErrorKind::internal, "killed here");
  });
  EXPECT_THROW(volumes_->remove("", "data"), Error);
  root_->set_step_hook({});
  EXPECT_TRUE(fs::is_empty(create("data").mountpoint));
}

}  // namespace
}  // namespace bryo::storage

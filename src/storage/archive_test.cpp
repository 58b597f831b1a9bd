#include "storage/archive.hpp"

#include <sys/mount.h>
#include <sys/sysmacros.h>

#include <atomic>
#include <thread>

#include "base/error.hpp"
#include "storage/compression.hpp"
#include "storage/store_test_support.hpp"
#include "storage/tar_reader.hpp"
#include "storage/tar_test_support.hpp"

namespace bryo::storage {
namespace {

using test::RawTar;
namespace fs = std::filesystem;

// tree/ is a container's root; canary/ is the host.
class Archives : public test::Store {
 protected:
  void SetUp() override {
    Store::SetUp();
    if (IsSkipped()) return;
    fs::create_directories(tree() / "etc/conf.d");
    write(tree() / "etc/passwd", "root");
    fs::create_directories(tree() / "run");
    fs::create_directories(tree() / "var");
    fs::create_symlink("/run", tree() / "var/run");
    fs::create_symlink(base_ / "canary", tree() / "evil");
    fs::create_symlink("../../../../../../../" + (base_ / "canary").string(), tree() / "evil2");
    root_directory_.emplace(kernel::RootDirectory::open(tree().string()));
  }
  fs::path tree() const { return base_ / "tree"; }
  static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  static std::string read(const fs::path& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  const kernel::RootDirectory& root() const { return *root_directory_; }
  static struct stat stat_of(const fs::path& path) { return kernel::stat_at(AT_FDCWD, path.string()); }

  std::vector<TarEntry> packed(std::string_view path, const IdShift& shift = {},
                               const PackOptions& options = {}) const {
    StringSink sink;
    pack(root(), path, shift, sink, options);
    return entries_of(sink.text());
  }
  static std::vector<TarEntry> entries_of(const std::string& tar) {
    MemorySource source(tar);
    DirectChunks chunks(source);
    TarReader reader(chunks);
    std::vector<TarEntry> all;
    TarEntry entry;
    while (reader.next(entry)) all.push_back(entry);
    return all;
  }
  static std::string names(const std::vector<TarEntry>& entries) {
    std::string text;
    for (const auto& entry : entries) text += entry.name + " ";
    return text;
  }
  void put(const std::string& path, const std::string& tar, const UnpackIntoOptions& options = {},
           const IdShift& shift = {}) const {
    MemorySource source(tar);
    unpack_into(root(), path, shift, source, options);
  }
  static std::string one_file(const std::string& name, const std::string& content) {
    RawTar tar;
    tar.add({.name = name, .content = content});
    return tar.end();
  }

  std::optional<kernel::RootDirectory> root_directory_;
};

TEST_F(Archives, StatIsTheHeaderOfDocker) {
  const PathStat file = stat_path(root(), "/etc/passwd");
  EXPECT_EQ(file.name, "passwd");
  EXPECT_EQ(file.size, 4);
  EXPECT_EQ(file.mode, 0644U);
  EXPECT_EQ(stat_path(root(), "etc/").name, "etc");
  EXPECT_EQ(stat_path(root(), "/etc/").mode, 0755U | 1U << 31);
  EXPECT_EQ(stat_path(root(), "/").name, "/");
  const PathStat link = stat_path(root(), "/var/run");
  EXPECT_EQ(link.mode & (1U << 27), 1U << 27);
  EXPECT_EQ(link.link_target, "/run");
  EXPECT_EQ(stat_path(root(), "/var/run/").mode & (1U << 31), 1U << 31) << "the slash asks for the directory";
  EXPECT_THROW(stat_path(root(), "/none"), Error);
  EXPECT_THROW(stat_path(root(), "/etc/passwd/"), Error);
}

TEST_F(Archives, NamesFollowTheLastComponent) {
  EXPECT_EQ(names(packed("/etc")), "etc/ etc/conf.d/ etc/passwd ");
  EXPECT_EQ(names(packed("/etc/")), "etc/ etc/conf.d/ etc/passwd ");
  EXPECT_EQ(names(packed("/etc/.")), "./ ./conf.d/ ./passwd ");
  EXPECT_EQ(names(packed("/etc/passwd")), "passwd ");
  EXPECT_EQ(names(packed("/etc/passwd", {}, {.name = "other"})), "other ");
  EXPECT_EQ(packed("/var/run")[0].type, TarType::symlink);
  EXPECT_EQ(packed("/var/run", {}, {.follow_link = true})[0].type, TarType::directory);
  EXPECT_EQ(names(packed("/")).substr(0, 8), "/ /etc/ ");
}

TEST_F(Archives, ReadyComesBeforeTheFirstByte) {
  StringSink sink;
  bool ready = false;
  pack(root(), "/etc", {}, sink, {.ready = [&](const PathStat& stat) {
         EXPECT_TRUE(sink.text().empty());
         EXPECT_EQ(stat.name, "etc");
         ready = true;
       }});
  EXPECT_TRUE(ready);
}

TEST_F(Archives, IdsAreTheContainersInArchivesAndTheHostsOnDisk) {
  const IdShift shift(
      {ids::IdMap::contiguous(ids::HostId{165536}, 65536), ids::IdMap::contiguous(ids::HostId{165536}, 65536)});
  RawTar tar;
  tar.add({.name = "f", .content = "x", .mode = 04755, .uid = 7, .gid = 8});
  tar.add({.name = "null", .type = '3', .device_major = 1, .device_minor = 3});
  put("/etc", tar.end(), {}, shift);
  EXPECT_EQ(stat_of(tree() / "etc/f").st_uid, 165543U);
  EXPECT_EQ(stat_of(tree() / "etc/f").st_mode & 07777U, 04755U);
  EXPECT_FALSE(fs::exists(tree() / "etc/null")) << "no devices under a map";
  const auto entries = packed("/etc/f", shift);
  EXPECT_EQ(entries[0].uid, 7U);
  EXPECT_EQ(entries[0].gid, 8U);
  EXPECT_EQ(packed("/etc/passwd", shift)[0].uid, 65534U) << "host root is nobody";
  RawTar outside;
  outside.add({.name = "g", .uid = 70000});
  EXPECT_THROW(put("/etc", outside.end(), {}, shift), Error);
  UnpackIntoOptions mine;
  mine.copy_uid_gid = false;
  mine.default_owner = {165536, 165536};
  put("/etc", tar.end(), mine, shift);
  EXPECT_EQ(stat_of(tree() / "etc/f").st_uid, 165536U);
}

// moby's fix of CVE-2026-41568 broke this on every image with such a link.
TEST_F(Archives, CVE_2026_41568_VarRunToRunStillWorks) {
  put("/var/run", one_file("a", "1"));
  put("/var", one_file("run/b", "2"));
  put("/", one_file("var/run/c", "3"));
  for (const auto* name : {"a", "b", "c"}) EXPECT_TRUE(fs::exists(tree() / "run" / name)) << name;
  EXPECT_EQ(packed("/var/run/a").size(), 1U);
}

TEST_F(Archives, CVE_2018_15664_LinksNeverLeadOut) {
  for (const auto* path : {"/evil/secret", "/evil2/secret", "/evil/../secret"})
    EXPECT_THROW(packed(path), Error) << path;
  for (const auto* path : {"/evil", "/evil2"})
    EXPECT_THROW(put(path, one_file("secret", "overwritten")), Error) << path;
  for (const auto* name : {"evil/secret", "evil2/dir/x", "../canary/secret"})
    EXPECT_THROW(put("/", one_file(name, "overwritten")), Error) << name;
  const auto all = packed("/");
  for (const auto& entry : all) EXPECT_EQ(entry.name.find("secret"), std::string::npos);
}

TEST_F(Archives, CVE_2021_41089_ModesOfTheHostStay) {
  RawTar tar;
  tar.add({.name = "evil", .type = '5', .mode = 0777});
  put("/", tar.end());
  EXPECT_FALSE(fs::is_symlink(tree() / "evil")) << "the link was replaced, not followed";
}

TEST_F(Archives, ADirectoryIsNotOverwrittenByAFileWhenAskedNotTo) {
  UnpackIntoOptions keep;
  keep.no_overwrite_dir_non_dir = true;
  EXPECT_THROW(put("/", one_file("etc", "file"), keep), Error);
  RawTar directory;
  directory.add({.name = "etc/passwd", .type = '5'});
  EXPECT_THROW(put("/", directory.end(), keep), Error);
  EXPECT_EQ(read(tree() / "etc/passwd"), "root");
  put("/", one_file("etc", "file"));
  EXPECT_EQ(read(tree() / "etc"), "file");
}

TEST_F(Archives, TheExtractionPointMustBeADirectory) {
  try {
    put("/etc/passwd", one_file("a", "1"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
  }
  try {
    put("/none", one_file("a", "1"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::not_found);
  }
}

// CVE-2026-41567, CVE-2014-9357, CVE-2019-14271: nothing of the container's is ever run or loaded. All decoders are in
// this program; the tree holds programs of their names that would leave a mark.
TEST_F(Archives, CVE_2026_41567_NoProgramOfTheContainerDecompresses) {
  fs::create_directories(tree() / "usr/bin");
  for (const auto* name : {"xz", "unxz", "gzip", "unpigz", "zstd", "bzip2", "tar"}) {
    write(tree() / "usr/bin" / name, "#!/bin/sh\ntouch " + (base_ / "mark").string());
    fs::permissions(tree() / "usr/bin" / name, fs::perms::all);
  }
  for (const Compression form : {Compression::none, Compression::gzip, Compression::zstd}) {
    StringSink sink;
    const auto encoder = make_encoder(sink, form);
    encoder->ByteSink::write(one_file(std::string(to_string(form)), "content"));
    encoder->finish();
    put("/", sink.text());
    EXPECT_EQ(read(tree() / to_string(form)), "content");
  }
  EXPECT_FALSE(fs::exists(base_ / "mark"));
}

TEST_F(Archives, PackedTreesUnpackToTheSame) {
  write(tree() / "etc/hard", "linked");
  fs::create_hard_link(tree() / "etc/hard", tree() / "etc/soft");
  ASSERT_EQ(::mkfifo((tree() / "etc/fifo").c_str(), 0600), 0);
  ASSERT_EQ(::mknod((tree() / "etc/dev").c_str(), S_IFCHR | 0600, makedev(1, 3)), 0);
  StringSink sink;
  pack_tree(root(), {}, sink);
  EXPECT_EQ(names(entries_of(sink.text())).substr(0, 5), "etc/ ");
  fs::create_directories(base_ / "copy");
  const auto copy = kernel::RootDirectory::open((base_ / "copy").string());
  MemorySource source(sink.text());
  unpack_into(copy, "/", {}, source);
  EXPECT_EQ(test::tree_of(base_ / "copy"), test::tree_of(tree()));
  EXPECT_EQ(stat_of(base_ / "copy/etc/soft").st_nlink, 2U);
}

TEST_F(Archives, ExportLeavesMountsOutAndCopyEntersThem) {
  fs::create_directories(tree() / "mnt");
  fs::create_directories(tree() / "proc");
  if (::mount((base_ / "canary").c_str(), (tree() / "mnt").c_str(), nullptr, MS_BIND, nullptr) != 0)
    GTEST_SKIP() << "cannot mount here";
  ::mount("proc", (tree() / "proc").c_str(), "proc", 0, nullptr);
  StringSink sink;
  pack_tree(root(), {}, sink);
  EXPECT_EQ(names(entries_of(sink.text())).find("mnt/secret"), std::string::npos);
  const std::string copied = names(packed("/"));
  EXPECT_NE(copied.find("/mnt/secret"), std::string::npos);
  EXPECT_EQ(copied.find("/proc/1"), std::string::npos);
  ::umount((tree() / "proc").c_str());
  ::umount((tree() / "mnt").c_str());
}

TEST_F(Archives, DeepTreesAreAnErrorNotACrash) {
  UniqueFd here = kernel::open_trusted(tree().string(), O_PATH | O_DIRECTORY);
  for (int i = 0; i < 1500; ++i) {
    kernel::make_directory(here.get(), "d", 0755);
    here = kernel::open_at(here.get(), "d", O_PATH | O_DIRECTORY);
  }
  EXPECT_THROW(packed("/d"), Error);
  kernel::remove_tree(root().fd(), "d");
}

// T2 of security.md in small: the tree flips while it is read and written.
TEST_F(Archives, CVE_2018_15664_ASwappedDirectoryNeverShowsTheHost) {
  fs::create_directories(tree() / "flip");
  write(tree() / "flip/secret", "inside");
  std::atomic<bool> stop = false;
  std::thread swapper([&] {
    while (!stop)
      ::renameat2(AT_FDCWD, (tree() / "flip").c_str(), AT_FDCWD, (tree() / "evil").c_str(), RENAME_EXCHANGE);
  });
  const std::string upload = one_file("flip/secret", "inside");
  for (int i = 0; i < 300; ++i) {
    try {
      StringSink sink;
      pack(root(), "/flip/.", {}, sink);
      EXPECT_EQ(sink.text().find("canary\0"), std::string::npos);
      put("/", upload);
    } catch (const Error&) {
    }
  }
  stop = true;
  swapper.join();
}

}  // namespace
}  // namespace bryo::storage

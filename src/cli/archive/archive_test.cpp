#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "cli/archive/tree_extractor.hpp"
#include "cli/archive/tree_writer.hpp"

namespace bryo::cli {
namespace {

ByteSource source_of(const std::string& text) {
  return [text, at = std::size_t{0}](std::span<char> into) mutable {
    // Odd pieces, so that block borders do not fall on read borders.
    const std::size_t size = std::min({into.size(), text.size() - at, std::size_t{777}});
    text.copy(into.data(), size, at);
    at += size;
    return size;
  };
}

std::string member(const TarEntry& given, const std::string& contents = "") {
  TarEntry entry = given;
  entry.size = contents.size();
  std::string out = tar_header(entry) + contents;
  out.resize((out.size() + kTarBlock - 1) / kTarBlock * kTarBlock, '\0');
  return out;
}

TarEntry entry_of(TarEntry::Type type, std::string name, std::string link = "", std::uint32_t mode = 0644) {
  TarEntry entry;
  entry.type = type;
  entry.name = std::move(name);
  entry.link = std::move(link);
  entry.mode = mode;
  return entry;
}

const std::string kEnd(2 * kTarBlock, '\0');

class Archive : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "bryo-archive-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    base_ = name;
    for (const char* part : {"/in", "/out", "/outside"}) ASSERT_EQ(::mkdir((base_ + part).c_str(), 0755), 0);
  }

  std::vector<std::string> extract(const std::string& archive, std::string expected = "d",
                                   std::string replacement = "d") {
    TarReader reader(source_of(archive));
    TreeExtractor extractor(base_ + "/out", std::move(expected), std::move(replacement));
    extractor.extract(reader);
    return extractor.skipped();
  }

  std::string read(const std::string& name) {
    std::ifstream file(base_ + name);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  void write(const std::string& name, const std::string& text) { std::ofstream(base_ + name) << text; }
  mode_t mode(const std::string& name) {
    struct stat status {};
    return ::lstat((base_ + name).c_str(), &status) == 0 ? status.st_mode : 0;
  }
  bool exists(const std::string& name) { return mode(name) != 0; }

  std::string base_;
};

std::string pack(const std::string& path, const std::string& name) {
  TreeWriter writer(path, name);
  std::string out;
  std::array<char, 1000> block;
  while (const std::size_t got = writer.read(block)) out.append(block.data(), got);
  return out;
}

TEST_F(Archive, ATreeGoesThroughUnchanged) {
  const std::string deep = "/in/" + std::string(120, 'x');
  ASSERT_EQ(::mkdir((base_ + deep).c_str(), 0750), 0);
  write(deep + "/" + std::string(150, 'y'), std::string(100'000, 'z'));
  write("/in/empty", "");
  ASSERT_EQ(::link((base_ + "/in/empty").c_str(), (base_ + "/in/hard").c_str()), 0);
  ASSERT_EQ(::symlink("../outside", (base_ + "/in/soft").c_str()), 0);
  ASSERT_EQ(::mkfifo((base_ + "/in/fifo").c_str(), 0600), 0);
  extract(pack(base_ + "/in", "d"));
  EXPECT_EQ(read("/out/d/" + std::string(120, 'x') + "/" + std::string(150, 'y')).size(), 100'000U);
  EXPECT_EQ(mode("/out/d/" + std::string(120, 'x')) & 0777U, 0750U);
  EXPECT_TRUE(S_ISLNK(mode("/out/d/soft")));
  EXPECT_TRUE(S_ISFIFO(mode("/out/d/fifo")));
  struct stat one {};
  struct stat two {};
  ::stat((base_ + "/out/d/empty").c_str(), &one);
  ::stat((base_ + "/out/d/hard").c_str(), &two);
  EXPECT_EQ(one.st_ino, two.st_ino);
}

TEST_F(Archive, TheBaseIsRenamed) {
  write("/in/f", "text");
  extract(pack(base_ + "/in", "d"), "d", "other");
  EXPECT_EQ(read("/out/other/f"), "text");
  extract(pack(base_ + "/in", "."), ".", ".");
  EXPECT_EQ(read("/out/f"), "text");
}

TEST_F(Archive, CVE_2019_1002101_ALinkInTheArchiveIsNotFollowed) {
  const std::string absolute = member(entry_of(TarEntry::Type::directory, "d/", "", 0755)) +
                               member(entry_of(TarEntry::Type::symlink, "d/link", base_ + "/outside")) +
                               member(entry_of(TarEntry::Type::file, "d/link/evil"), "evil") + kEnd;
  EXPECT_THROW(extract(absolute), Error);
  const std::string relative = member(entry_of(TarEntry::Type::symlink, "d/up", "../../outside")) +
                               member(entry_of(TarEntry::Type::directory, "d/up/sub/", "", 0755)) + kEnd;
  EXPECT_THROW(extract(relative), Error);
  // The link itself as a file: it is replaced, not written through.
  write("/outside/victim", "safe");
  extract(member(entry_of(TarEntry::Type::symlink, "d/file", base_ + "/outside/victim")) +
          member(entry_of(TarEntry::Type::file, "d/file"), "evil") + kEnd);
  EXPECT_EQ(read("/outside/victim"), "safe");
  EXPECT_EQ(read("/out/d/file"), "evil");
  EXPECT_FALSE(exists("/outside/evil"));
  EXPECT_FALSE(exists("/outside/sub"));
}

TEST_F(Archive, CVE_2018_1002100_NamesDoNotLeaveTheDirectory) {
  for (const char* name : {"../evil", "d/../../evil", "d/../../../evil", "/etc/evil", "evil", "dd/evil", "..", "d/.."})
    EXPECT_THROW(extract(member(entry_of(TarEntry::Type::file, name), "x") + kEnd), Error) << name;
  EXPECT_FALSE(exists("/evil"));
  EXPECT_FALSE(exists("/out/evil"));
}

TEST_F(Archive, HardLinksStayInside) {
  write("/outside/secret", "secret");
  ASSERT_EQ(::symlink((base_ + "/outside").c_str(), (base_ + "/out/s").c_str()), 0);
  for (const std::string& target :
       {base_ + "/outside/secret", std::string("../outside/secret"), std::string("d/../../outside/secret")})
    EXPECT_THROW(extract(member(entry_of(TarEntry::Type::hard_link, "d/h", target)) + kEnd), Error) << target;
  const std::string through_link = member(entry_of(TarEntry::Type::symlink, "d/s", base_ + "/outside")) +
                                   member(entry_of(TarEntry::Type::hard_link, "d/h", "d/s/secret")) + kEnd;
  EXPECT_THROW(extract(through_link), Error);
  EXPECT_FALSE(exists("/out/d/h"));
}

TEST_F(Archive, ALinkThatWasThereBeforeIsNotFollowedEither) {
  ASSERT_EQ(::mkdir((base_ + "/out/d").c_str(), 0755), 0);
  ASSERT_EQ(::symlink((base_ + "/outside").c_str(), (base_ + "/out/d/sub").c_str()), 0);
  EXPECT_THROW(extract(member(entry_of(TarEntry::Type::file, "d/sub/evil"), "x") + kEnd), Error);
  EXPECT_FALSE(exists("/outside/evil"));
}

TEST_F(Archive, PrivilegesAndDevicesStayBehind) {
  const auto skipped = extract(member(entry_of(TarEntry::Type::file, "d/suid", "", 06755), "x") +
                               member(entry_of(TarEntry::Type::directory, "d/sgid/", "", 02777)) +
                               member(entry_of(TarEntry::Type::block, "d/disk", "", 0666)) + kEnd);
  EXPECT_EQ(mode("/out/d/suid") & 07777U, 0755U);
  EXPECT_EQ(mode("/out/d/sgid") & 07000U, 0U);
  EXPECT_FALSE(exists("/out/d/disk"));
  EXPECT_EQ(skipped.size(), 1U);
}

TEST_F(Archive, FilesAndDirectoriesDoNotReplaceEachOther) {
  ASSERT_EQ(::mkdir((base_ + "/out/d").c_str(), 0755), 0);
  EXPECT_THROW(extract(member(entry_of(TarEntry::Type::file, "d"), "x") + kEnd), Error);
  write("/out/f", "x");
  EXPECT_THROW(extract(member(entry_of(TarEntry::Type::directory, "f/", "", 0755)) + kEnd, "f", "f"), Error);
}

TEST_F(Archive, BrokenArchivesAreRefused) {
  const std::string good = member(entry_of(TarEntry::Type::file, "d"), std::string(2000, 'x')) + kEnd;
  EXPECT_THROW(extract(good.substr(0, 700)), Error);
  std::string checksum = good;
  checksum[0] = 'e';
  EXPECT_THROW(extract(checksum), Error);
  EXPECT_THROW(extract(std::string(kTarBlock, 'a')), Error);
  TarEntry huge = entry_of(TarEntry::Type::file, "d");
  huge.size = UINT64_MAX;
  EXPECT_THROW(extract(tar_header(huge) + kEnd), Error);
}

TEST(Pax, RecordsAreCheckedStrictly) {
  TarEntry entry;
  apply_pax("16 path=x/y/z/w\n19 mtime=12.500000\n", entry);
  EXPECT_EQ(entry.name, "x/y/z/w");
  EXPECT_EQ(entry.mtime, 12);
  for (const std::string& bad :
       {std::string("x"), std::string("99 path=x\n"), std::string("3 \n"), std::string("9 path=x y"),
        std::string("0 a=b\n"), std::string("10 path=\0x\n", 11), std::string("10 size=-1\n")})
    EXPECT_THROW(apply_pax(bad, entry), Error) << bad;
}

}  // namespace
}  // namespace bryo::cli

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "base/error.hpp"
#include "storage/tar_header.hpp"
#include "storage/tar_reader.hpp"
#include "storage/tar_test_support.hpp"
#include "storage/tar_writer.hpp"

namespace bryo::storage {
namespace {

using test::RawTar;

struct Read {
  TarEntry entry;
  std::string content;
};

std::vector<Read> read_tar(const std::string& bytes, std::size_t chunk = 65536) {
  MemorySource source(bytes);
  DirectChunks chunks(source, chunk);
  TarReader reader(chunks);
  std::vector<Read> all;
  TarEntry entry;
  while (reader.next(entry)) {
    std::string content;
    for (auto piece = reader.content(); !piece.empty(); piece = reader.content())
      content.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    all.push_back({entry, content});
  }
  return all;
}

std::string write_tar(const std::vector<Read>& entries) {
  StringSink sink;
  TarWriter writer(sink);
  for (const auto& [entry, content] : entries) writer.add(entry, content);
  writer.finish();
  return sink.take();
}

TarEntry file(std::string name, std::size_t size) {
  TarEntry entry;
  entry.name = std::move(name);
  entry.mode = 0644;
  entry.size = size;
  return entry;
}

TEST(Tar, WhatIsWrittenIsRead) {
  TarEntry odd = file(std::string(150, 'a') + "/" + std::string(150, 'b'), 3);
  odd.uid = 3'000'000;
  odd.gid = 4'294'967'294U;
  odd.mode = 06755;
  odd.mtime = {-5, 250'000'000};
  odd.xattrs = {{"security.capability", std::string("\1\0\0\2=\n\0", 7)}, {"user.x", ""}};
  TarEntry split = file(std::string(90, 'x') + "/" + std::string(95, 'y'), 0);
  TarEntry link;
  link.type = TarType::symlink;
  link.name = "l\xc3\xb6";
  link.link = std::string(120, 'z');
  TarEntry device;
  device.type = TarType::character_device;
  device.name = "null";
  device.device_major = 1;
  device.device_minor = 3;
  TarEntry directory;
  directory.type = TarType::directory;
  directory.name = "d/";
  directory.mtime = {1'700'000'000, 123'456'789};
  const std::string big(700'000, 'B');
  const auto back = read_tar(write_tar(
      {{odd, "abc"}, {split, ""}, {link, ""}, {device, ""}, {directory, ""}, {file("big", big.size()), big}}));
  ASSERT_EQ(back.size(), 6U);
  EXPECT_EQ(back[0].entry.name, odd.name);
  EXPECT_EQ(back[0].entry.uid, odd.uid);
  EXPECT_EQ(back[0].entry.gid, odd.gid);
  EXPECT_EQ(back[0].entry.mode, odd.mode);
  EXPECT_EQ(back[0].entry.mtime, odd.mtime);
  ASSERT_EQ(back[0].entry.xattrs.size(), 2U);
  EXPECT_EQ(back[0].entry.xattrs, odd.xattrs);
  EXPECT_EQ(back[0].content, "abc");
  EXPECT_EQ(back[1].entry.name, split.name);
  EXPECT_EQ(back[2].entry.name, link.name);
  EXPECT_EQ(back[2].entry.link, link.link);
  EXPECT_EQ(back[3].entry.device_minor, 3U);
  EXPECT_EQ(back[4].entry.mtime, directory.mtime);
  EXPECT_EQ(back[5].content, big);
}

TEST(Tar, ChunksOfAnySizeGiveTheSame) {
  const std::string content(100'001, 'c');
  const std::string bytes =
      write_tar({{file("a", 5), "hello"}, {file(std::string(300, 'n'), content.size()), content}});
  for (const std::size_t chunk : {std::size_t{512}, std::size_t{1024}, std::size_t{1U << 20}}) {
    const auto back = read_tar(bytes, chunk);
    ASSERT_EQ(back.size(), 2U) << chunk;
    EXPECT_EQ(back[1].content, content) << chunk;
  }
}

TEST(Tar, ReadAheadGivesTheSameAndEndsWhenAbandoned) {
  const std::string content(5'000'000, 'c');
  const std::string bytes = write_tar({{file("a", content.size()), content}, {file("b", 1), "b"}});
  {
    MemorySource source(bytes);
    ReadAhead chunks(source);
    TarReader reader(chunks);
    TarEntry entry;
    ASSERT_TRUE(reader.next(entry));
    ASSERT_TRUE(reader.next(entry));
    EXPECT_EQ(entry.name, "b");
    EXPECT_FALSE(reader.next(entry));
    reader.drain();
    EXPECT_EQ(reader.position(), bytes.size());
  }
  MemorySource source(bytes);
  ReadAhead abandoned(source);
  EXPECT_FALSE(abandoned.next().empty());
}

TEST(Tar, GnuLongNamesAndOldDirectories) {
  RawTar tar;
  tar.add({.name = "././@LongLink", .type = 'L', .content = std::string(200, 'n') + '\0'});
  tar.add({.name = "cut", .content = "x"});
  tar.add({.name = "././@LongLink", .type = 'K', .content = std::string(200, 'k') + '\0'});
  tar.add({.name = "link", .type = '2', .link = "cut"});
  tar.add({.name = "old/", .type = '\0'});
  const auto back = read_tar(tar.end());
  ASSERT_EQ(back.size(), 3U);
  EXPECT_EQ(back[0].entry.name, std::string(200, 'n'));
  EXPECT_EQ(back[1].entry.link, std::string(200, 'k'));
  EXPECT_EQ(back[2].entry.type, TarType::directory);
}

TEST(Tar, PaxOverridesHeaderAndGlobalHeadersAreSkipped) {
  RawTar tar;
  tar.add({.name = "pax_global_header", .type = 'g', .content = RawTar::record("path", "evil")});
  tar.add_pax({{"path", "first"}, {"path", "second"}, {"size", "3"}, {"uid", "7"}, {"mtime", "1.5"}});
  tar.add({.name = "header", .content = "abc"});
  const auto back = read_tar(tar.end());
  ASSERT_EQ(back.size(), 1U);
  EXPECT_EQ(back[0].entry.name, "second");
  EXPECT_EQ(back[0].entry.uid, 7U);
  EXPECT_EQ(back[0].entry.mtime, (TarTime{1, 500'000'000}));
}

TEST(Tar, SparseForms) {
  RawTar pax;
  pax.add_pax({{"GNU.sparse.major", "1"},
               {"GNU.sparse.minor", "0"},
               {"GNU.sparse.name", "s"},
               {"GNU.sparse.realsize", "1000"}});
  std::string map = "2\n0\n3\n997\n3\n";
  map.resize(512, '\0');
  pax.add({.name = "GNUSparseFile.0/s", .content = map + "abcxyz"});
  auto back = read_tar(pax.end());
  ASSERT_EQ(back.size(), 1U);
  EXPECT_EQ(back[0].entry.name, "s");
  EXPECT_EQ(back[0].entry.size, 1000U);
  EXPECT_EQ(back[0].entry.regions, (std::vector<TarRegion>{{0, 3}, {997, 3}}));
  EXPECT_EQ(back[0].content, "abcxyz");
  RawTar old;
  old.add_pax({{"GNU.sparse.size", "10"}, {"GNU.sparse.map", "2,1,9,1"}});
  old.add({.name = "t", .content = "ab"});
  back = read_tar(old.end());
  EXPECT_EQ(back[0].entry.regions, (std::vector<TarRegion>{{2, 1}, {9, 1}}));
}

TEST(Tar, CVE_2025_58183_SparseMapsAreBounded) {
  RawTar tar;
  tar.add_pax({{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.realsize", "1000"}});
  std::string map = "10000000\n";
  for (int i = 0; i < 1000; ++i) map += "0\n0\n";
  map.resize((map.size() + 511) / 512 * 512, '\0');
  tar.add({.name = "s", .content = map});
  EXPECT_THROW(read_tar(tar.end()), Error);
  RawTar wrong;
  wrong.add_pax({{"GNU.sparse.size", "10"}, {"GNU.sparse.map", "5,9"}});
  wrong.add({.name = "s", .content = "123456789"});
  EXPECT_THROW(read_tar(wrong.end()), Error);
}

TEST(Tar, CVE_2017_14992_HugeExtensionHeadersAreRefusedUnread) {
  for (const char type : {'x', 'g', 'L', 'K'}) {
    RawTar tar;
    tar.add_header({.name = "big", .type = type, .size = 1ULL << 30});
    try {
      read_tar(tar.end());
      ADD_FAILURE() << type;
    } catch (const Error& error) {
      EXPECT_NE(error.message().find("too long"), std::string::npos) << error.message();
    }
  }
}

TEST(Tar, CVE_2024_40635_IdsThatDoNotFitAreErrors) {
  for (const auto* uid : {"4294967295", "4294967296", "-1", "99999999999999999999", "0x0", " 0", "+0", "1e3"}) {
    RawTar tar;
    tar.add_pax({{"uid", uid}});
    tar.add({.name = "f"});
    EXPECT_THROW(read_tar(tar.end()), Error) << uid;
  }
  RawTar negative;
  negative.add({.name = "f", .raw_uid = std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8)});
  EXPECT_THROW(read_tar(negative.end()), Error);
  RawTar large;
  large.add({.name = "f", .raw_uid = std::string("\x80\0\0\0\x12\x34\x56\x78", 8)});
  EXPECT_EQ(read_tar(large.end())[0].entry.uid, 0x12345678U);
}

TEST(Tar, DamageIsRefused) {
  RawTar good;
  good.add({.name = "f", .content = std::string(2000, 'x')});
  const std::string bytes = good.end();
  for (std::size_t size = 512; size < 2560; size += 100) EXPECT_THROW(read_tar(bytes.substr(0, size)), Error) << size;
  EXPECT_EQ(read_tar(bytes.substr(0, 2560)).size(), 1U) << "no end mark is what some programs write";
  std::string flipped = bytes;
  flipped[3] = 'Z';
  EXPECT_THROW(read_tar(flipped), Error);
  std::string lone = bytes;
  lone.insert(2560, std::string(512, '\0') + bytes.substr(0, 512));
  EXPECT_THROW(read_tar(lone), Error);
  EXPECT_THROW(read_tar(std::string(1024, 'q')), Error);
  EXPECT_TRUE(read_tar("").empty());
}

TEST(Tar, NamesWithNulAndBadPaxRecordsAreRefused) {
  RawTar nul;
  nul.add_pax({{"path", std::string("a\0b", 3)}});
  nul.add({.name = "f"});
  EXPECT_THROW(read_tar(nul.end()), Error);
  for (const auto* record : {"8 path=a\n", "11 path=a\n", "8 patha\n", "5 =a\n", "x path=a\n", "-1 path=a\n",
                             "99999999999999999999 a=b\n", " path=a\n"}) {
    RawTar tar;
    tar.add({.name = "PaxHeaders", .type = 'x', .content = record});
    tar.add({.name = "f"});
    EXPECT_THROW(read_tar(tar.end()), Error) << record;
  }
}

TEST(Tar, RandomBytesNeverDoMoreThanThrow) {
  std::mt19937 random(3);
  RawTar tar;
  tar.add_pax({{"path", "abc"}, {"GNU.sparse.size", "10"}, {"GNU.sparse.map", "2,1,9,1"}, {"mtime", "5.5"}});
  tar.add({.name = "f", .content = "ab"});
  tar.add({.name = "g", .type = '5'});
  const std::string good = tar.end();
  for (int i = 0; i < 20'000; ++i) {
    std::string bad = good;
    for (int j = 0; j < 3; ++j) bad[random() % bad.size()] = static_cast<char>(random());
    RawTar::fix_checksums(bad);
    try {
      read_tar(bad);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
    }
  }
}

}  // namespace
}  // namespace bryo::storage

#include "monitor/log_writer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/strings.hpp"
#include "monitor/log_format.hpp"
#include "monitor/test_support.hpp"

namespace bryo::monitor {
namespace {

using namespace testing_support;

std::string escaped(std::string_view text) {
  std::string out(text.size() * kMaxExpansion + 1, '\0');
  out.resize(static_cast<std::size_t>(escape_log_text(out.data(), text) - out.data()));
  return out;
}

// What dockerd 20.10 writes for the same bytes (its json-file driver, observed).
TEST(LogFormat, EscapesAsDockerDoes) {
  EXPECT_EQ(escaped("plain text 123"), "plain text 123");
  EXPECT_EQ(escaped("a\"b\\c"), R"(a\"b\\c)");
  EXPECT_EQ(escaped("tab\tcr\rnl\nbell\a\x7f"), "tab\\u0009cr\\rnl\\nbell\\u0007\x7f");
  EXPECT_EQ(escaped("<a href='x'>&</a>"), R"(\u003ca href='x'\u003e\u0026\u003c/a\u003e)");
  EXPECT_EQ(escaped("\u00e4\u20ac\U0001f600"), "\u00e4\u20ac\U0001f600");
  EXPECT_EQ(escaped("\u2028x\u2029"), R"(\u2028x\u2029)");
  EXPECT_EQ(escaped(std::string("\0", 1)), R"(\u0000)");
}

TEST(LogFormat, EveryInvalidByteBecomesOneReplacement) {
  EXPECT_EQ(escaped("a\xff\xfe z"), R"(a\ufffd\ufffd z)");
  EXPECT_EQ(escaped("\xc0\xaf"), R"(\ufffd\ufffd)");            // overlong
  EXPECT_EQ(escaped("\xed\xa0\x80"), R"(\ufffd\ufffd\ufffd)");  // surrogate
  EXPECT_EQ(escaped("\xf4\x90\x80\x80"), R"(\ufffd\ufffd\ufffd\ufffd)");
  EXPECT_EQ(escaped("\xe2\x82"), R"(\ufffd\ufffd)");  // cut
  EXPECT_EQ(escaped("\xe2\x82\x41"), R"(\ufffd\ufffdA)");
  EXPECT_EQ(escaped("\x80"), R"(\ufffd)");
}

// The wide loop and the narrow one agree wherever the special byte stands.
TEST(LogFormat, FindsSpecialBytesAtEveryPosition) {
  for (std::size_t size = 1; size < 70; ++size)
    for (std::size_t at = 0; at < size; ++at) {
      std::string text(size, 'x');
      text[at] = '"';
      std::string wanted = std::string(at, 'x') + "\\\"" + std::string(size - at - 1, 'x');
      ASSERT_EQ(escaped(text), wanted);
    }
}

TEST(LogFormat, TimesDropTrailingZerosAsGoDoes) {
  const std::int64_t second = 1'795'313'400'000'000'000;  // 2026-11-22T02:10:00Z
  EXPECT_EQ(LogTime::from_nanoseconds(second).text(), "2026-11-22T02:10:00Z");
  EXPECT_EQ(LogTime::from_nanoseconds(second + 123'456'789).text(), "2026-11-22T02:10:00.123456789Z");
  EXPECT_EQ(LogTime::from_nanoseconds(second + 500'000'000).text(), "2026-11-22T02:10:00.5Z");
  EXPECT_EQ(LogTime::from_nanoseconds(second + 1).text(), "2026-11-22T02:10:00.000000001Z");
}

TEST(LogFormat, WholeLineIsDockers) {
  char out[512];
  const auto time = LogTime::from_nanoseconds(1'795'313'400'123'456'780);
  const char* end = format_log_line(out, "hello", true, "stdout", "", time);
  EXPECT_EQ(std::string(out, static_cast<std::size_t>(end - out)),
            "{\"log\":\"hello\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-22T02:10:00.12345678Z\"}\n");
  end = format_log_line(out, "x", false, "stderr", R"({"tag":"t"})", time);
  EXPECT_EQ(std::string(out, static_cast<std::size_t>(end - out)),
            "{\"log\":\"x\",\"stream\":\"stderr\",\"attrs\":{\"tag\":\"t\"},"
            "\"time\":\"2026-11-22T02:10:00.12345678Z\"}\n");
}

TEST(LogFormat, CutsBetweenCharacters) {
  EXPECT_EQ(cut_line("abcdef", 4), 4u);
  EXPECT_EQ(cut_line("abc\u20acdef", 4), 3u);
  EXPECT_EQ(cut_line("abc\u20acdef", 5), 3u);
  EXPECT_EQ(cut_line("abc\u20acdef", 6), 6u);
  EXPECT_EQ(cut_line("ab\x80\x80\x80\x80zz", 5), 5u);  // broken anyway
  EXPECT_EQ(cut_line("abc", 4), 3u);
}

class LogWriterTest : public testing::Test {
 protected:
  LogConfig config(std::int64_t max_size = -1, int max_files = 1) const {
    return {LogDriver::json_file, scratch_.file("c.log"), max_size, max_files, ""};
  }
  // The "log" texts of a file, still escaped.
  std::vector<std::string> texts(const std::string& name = "c.log") const {
    std::vector<std::string> out;
    const std::string content = read_text(scratch_.file(name));
    for (const auto line : split(content, '\n'))
      if (!line.empty()) out.emplace_back(line.substr(8, line.find("\",\"stream\"") - 8));
    return out;
  }
  ScratchDirectory scratch_;
};

using testing::ElementsAre;

TEST_F(LogWriterTest, CutsLinesHoweverTheyArrive) {
  LogWriter writer(config());
  writer.write(1, "one\ntw");
  EXPECT_THAT(texts(), ElementsAre("one\\n"));
  writer.write(2, "err\n");
  writer.write(1, "o\n\nend");
  EXPECT_THAT(texts(), ElementsAre("one\\n", "err\\n", "two\\n", "\\n"));
  writer.finish(1);
  EXPECT_THAT(texts(), ElementsAre("one\\n", "err\\n", "two\\n", "\\n", "end"));
  struct stat state {};
  ASSERT_EQ(::stat(scratch_.file("c.log").c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 07777, 0640u);
}

TEST_F(LogWriterTest, LongLinesAreSplitAt16KiBAndShareTheirTime) {
  LogWriter writer(config());
  const std::string line(3 * kMaxLine + 10, 'x');
  for (std::size_t at = 0; at < line.size(); at += 1000) writer.write(1, std::string_view(line).substr(at, 1000));
  writer.write(1, "\nnext\n");
  const auto got = texts();
  ASSERT_EQ(got.size(), 5u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], std::string(kMaxLine, 'x'));
  EXPECT_EQ(got[3], "xxxxxxxxxx\\n");
  EXPECT_EQ(got[4], "next\\n");
  const std::string file = read_text(scratch_.file("c.log"));
  const auto lines = split(file, '\n');
  EXPECT_EQ(lines[0].substr(lines[0].rfind("time")), lines[3].substr(lines[3].rfind("time")));
}

TEST_F(LogWriterTest, LineOfExactly16KiBEndsWithAnEmptyPiece) {
  LogWriter writer(config());
  writer.write(1, std::string(kMaxLine, 'y') + "\n");
  EXPECT_THAT(texts(), ElementsAre(std::string(kMaxLine, 'y'), "\\n"));
}

TEST_F(LogWriterTest, SplitKeepsCharactersWhole) {
  LogWriter writer(config());
  const std::string before(kMaxLine - 1, 'a');
  writer.write(1, before + "\u20ac" + "tail\n");
  EXPECT_THAT(texts(), ElementsAre(before, "\u20actail\\n"));
}

TEST_F(LogWriterTest, BinaryFloodWithoutNewlineStaysBounded) {
  LogWriter writer(config());
  const std::string block(64 * 1024, '\x01');
  for (int i = 0; i < 64; ++i) writer.write(1, block);
  writer.finish(1);
  std::size_t pieces = 0;
  for (const auto& text : texts()) {
    EXPECT_LE(text.size(), kMaxLine * 6);
    ++pieces;
  }
  EXPECT_EQ(pieces, 64u * 4);
}

TEST_F(LogWriterTest, ForgedRecordsStayText) {
  LogWriter writer(config());
  writer.write(1, "\",\"stream\":\"stderr\",\"time\":\"1970\"}\x1b]52;c;x\x07\r\n");
  const std::string content = read_text(scratch_.file("c.log"));
  EXPECT_EQ(std::count(content.begin(), content.end(), '\n'), 1);
  EXPECT_EQ(content.find("\"stream\":\"stderr\""), std::string::npos);
}

TEST_F(LogWriterTest, RotatesByRenameAndLosesNoLine) {
  {
    LogWriter writer(config(1000, 3));
    for (int i = 0; i < 30; ++i) writer.write(1, "line " + std::to_string(i) + "\n");
  }
  std::vector<std::string> all;
  for (const char* name : {"c.log.2", "c.log.1", "c.log"}) {
    const auto part = texts(name);
    EXPECT_FALSE(part.empty()) << name;
    EXPECT_LT(read_text(scratch_.file(name)).size(), 1100u);
    all.insert(all.end(), part.begin(), part.end());
  }
  EXPECT_FALSE(std::filesystem::exists(scratch_.file("c.log.3")));
  ASSERT_FALSE(all.empty());
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], "line " + std::to_string(30 - all.size() + i) + "\\n");
}

TEST_F(LogWriterTest, WithOneFileItStartsOver) {
  LogWriter writer(config(500, 1));
  for (int i = 0; i < 30; ++i) writer.write(1, "line " + std::to_string(i) + "\n");
  EXPECT_LT(read_text(scratch_.file("c.log")).size(), 600u);
  EXPECT_EQ(texts().back(), "line 29\\n");
  EXPECT_FALSE(std::filesystem::exists(scratch_.file("c.log.1")));
}

TEST_F(LogWriterTest, AppendsToWhatAnEarlierRunWrote) {
  { LogWriter(config()).write(1, "first\n"); }
  { LogWriter(config()).write(1, "second\n"); }
  EXPECT_THAT(texts(), ElementsAre("first\\n", "second\\n"));
}

TEST_F(LogWriterTest, ReopenFollowsTheName) {
  LogWriter writer(config());
  writer.write(1, "old\n");
  std::filesystem::rename(scratch_.file("c.log"), scratch_.file("moved"));
  writer.write(1, "still old\n");
  writer.reopen();
  writer.write(1, "new\n");
  EXPECT_THAT(texts("moved"), ElementsAre("old\\n", "still old\\n"));
  EXPECT_THAT(texts(), ElementsAre("new\\n"));
}

TEST_F(LogWriterTest, CVE_2026_53489_LinkOrDeviceIsNoLog) {
  std::filesystem::create_symlink("/etc/passwd", scratch_.file("c.log"));
  EXPECT_THROW(LogWriter{config()}, Error);
  std::filesystem::remove(scratch_.file("c.log"));
  ASSERT_EQ(::mkfifo(scratch_.file("c.log").c_str(), 0600), 0);
  EXPECT_THROW(LogWriter{config()}, Error);
}

TEST_F(LogWriterTest, FullDiskDropsWholeLinesAndCountsThem) {
  const std::string mount = scratch_.file("small");
  std::filesystem::create_directory(mount);
  if (::mount("tmpfs", mount.c_str(), "tmpfs", 0, "size=64k") != 0) GTEST_SKIP() << "needs to mount a tmpfs";
  {
    LogWriter writer({LogDriver::json_file, mount + "/c.log", -1, 1, ""});
    const std::string line(200, 'z');
    for (int i = 0; i < 1000; ++i) writer.write(1, line + "\n");
    EXPECT_GT(writer.dropped(), 500u);
    const std::string content = read_text(mount + "/c.log");
    EXPECT_TRUE(content.ends_with("\"}\n"));
    const auto kept = static_cast<std::uint64_t>(std::count(content.begin(), content.end(), '\n'));
    EXPECT_EQ(kept + writer.dropped(), 1000u);
  }
  ::umount2(mount.c_str(), MNT_DETACH);
}

TEST_F(LogWriterTest, DriverNoneWritesNothing) {
  LogWriter writer(LogConfig{});
  writer.write(1, "x\n");
  writer.finish(1);
  EXPECT_TRUE(std::filesystem::is_empty(scratch_.path()));
}

}  // namespace
}  // namespace bryo::monitor

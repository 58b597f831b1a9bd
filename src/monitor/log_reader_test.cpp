#include "monitor/log_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>

#include <filesystem>

#include "monitor/log_line.hpp"
#include "monitor/log_writer.hpp"
#include "monitor/test_support.hpp"

namespace bryo::monitor {
namespace {

using namespace testing_support;

std::string unescaped(std::string_view text) {
  std::string out;
  append_unescaped(out, text);
  return out;
}

TEST(LogLine, ReadsDockersLine) {
  const auto line =
      parse_log_line(R"({"log":"a\u003cb\n","stream":"stderr","attrs":{"k":"}\""},"time":"2026-11-22T02:10:00.1Z"})");
  ASSERT_TRUE(line.has_value());
  EXPECT_EQ(unescaped(line->text), "a<b\n");
  EXPECT_EQ(line->stream, 2);
  EXPECT_EQ(line->attributes, R"({"k":"}\""})");
  EXPECT_EQ(line->time, "2026-11-22T02:10:00.1Z");
}

TEST(LogLine, RefusesGarbage) {
  for (const char* text : {"", "{", "{}", "null", R"({"log":"x"})", R"({"log":"x","time":"t")", R"({"log":"x\"})",
                           R"({"log":"x","time":"t"}x)", R"({"log" "x","time":"t"})", R"({"time":})"})
    EXPECT_FALSE(parse_log_line(text).has_value()) << text;
}

TEST(LogLine, UnescapesAllForms) {
  EXPECT_EQ(unescaped(R"(\"\\\/\b\f\n\r\t)"), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(unescaped(R"(\u00e4\u20ac\ud83d\ude00)"), "\u00e4\u20ac\U0001f600");
  EXPECT_EQ(unescaped(R"(\ud83d!\udead\u12)"), "\ufffd!\ufffd\ufffd12");
  EXPECT_EQ(unescaped("end\\"), "end");
}

TEST(LogLine, DetailsAreSortedAndQueryEscaped) {
  EXPECT_EQ(details_text(R"({"z":"1 2","a b":"x=y,\u00e4"})"), "a+b=x%3Dy%2C%C3%A4,z=1+2");
  EXPECT_EQ(details_text(""), "");
}

class LogReaderTest : public testing::Test {
 protected:
  std::string path() const { return scratch_.file("c.log"); }
  static std::string record(int second, const std::string& text, const char* stream = "stdout") {
    char time[40];
    std::snprintf(time, sizeof time, "2026-11-22T02:10:%02d.5Z", second);
    return "{\"log\":\"" + text + "\\n\",\"stream\":\"" + stream + "\",\"time\":\"" + time + "\"}\n";
  }
  static std::string drain(LogReader& reader) {
    std::string all;
    std::string frames;
    while (reader.next(frames)) all += frames;
    return all;
  }
  std::string read(const LogQuery& query) const {
    LogReader reader(path(), query);
    return drain(reader);
  }
  ScratchDirectory scratch_;
};

TEST_F(LogReaderTest, FramesBothStreams) {
  write_text(path(), record(1, "a") + record(2, "b", "stderr") + record(3, "c"));
  const auto streams = unframe(read({}));
  EXPECT_TRUE(streams.well_formed);
  EXPECT_EQ(streams.out, "a\nc\n");
  EXPECT_EQ(streams.err, "b\n");
  LogQuery only_err;
  only_err.stdout_stream = false;
  EXPECT_EQ(unframe(read(only_err)).err, "b\n");
  EXPECT_EQ(unframe(read(only_err)).out, "");
}

TEST_F(LogReaderTest, TerminalLogsAreRaw) {
  write_text(path(), record(1, "a\\r"));
  LogQuery query;
  query.raw = true;
  EXPECT_EQ(read(query), "a\r\n");
}

TEST_F(LogReaderTest, TimestampsHaveNineDigitsAndDetailsFollow) {
  write_text(path(),
             "{\"log\":\"x\\n\",\"stream\":\"stdout\",\"attrs\":{\"tag\":\"t\"},"
             "\"time\":\"2026-11-22T02:10:01.5Z\"}\n");
  LogQuery query;
  query.timestamps = true;
  query.details = true;
  EXPECT_EQ(unframe(read(query)).out, "2026-11-22T02:10:01.500000000Z tag=t x\n");
}

TEST_F(LogReaderTest, SinceAndUntilBoundThePeriod) {
  write_text(path(), record(1, "a") + record(2, "b") + record(3, "c") + record(4, "d"));
  LogQuery query;
  query.since = parse_rfc3339("2026-11-22T02:10:02.5Z");
  query.until = parse_rfc3339("2026-11-22T02:10:03.5Z");
  EXPECT_EQ(unframe(read(query)).out, "b\nc\n");
}

TEST_F(LogReaderTest, TailCountsFromTheEndOverRotatedFiles) {
  std::string newest, older, oldest;
  for (int i = 0; i < 3000; ++i) (i < 1000 ? oldest : i < 2000 ? older : newest) += record(1, std::to_string(i));
  write_text(path(), newest);
  write_text(path() + ".1", older);
  write_text(path() + ".2", oldest);
  for (const std::uint64_t tail : {0, 1, 10, 999, 1000, 1001, 2500, 2999, 3000, 9000}) {
    LogQuery query;
    query.tail = tail;
    const auto count = std::min<std::uint64_t>(tail, 3000);
    std::string wanted;
    for (std::uint64_t i = 3000 - count; i < 3000; ++i) wanted += std::to_string(i) + "\n";
    EXPECT_EQ(unframe(read(query)).out, wanted) << tail;
  }
}

TEST_F(LogReaderTest, MalformedLinesAreSkippedAndCounted) {
  write_text(path(), record(1, "a") + "garbage\n\n{\"log\":\n" + record(2, "b") + "{\"log\":\"cut");
  LogReader reader(path(), {});
  EXPECT_EQ(unframe(drain(reader)).out, "a\nb\n");
  EXPECT_EQ(reader.malformed(), 3u);
}

TEST_F(LogReaderTest, CVE_2026_53489_LinkOrFifoIsRefused) {
  EXPECT_THROW(read({}), Error);
  std::filesystem::create_symlink("/etc/passwd", path());
  EXPECT_THROW(read({}), Error);
  std::filesystem::remove(path());
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  EXPECT_THROW(read({}), Error);
  std::filesystem::remove(path());
  write_text(path(), record(1, "a"));
  std::filesystem::create_symlink("/etc/passwd", path() + ".1");
  EXPECT_THROW(read({}), Error);
}

TEST_F(LogReaderTest, WriterAndReaderAgreeOnEveryByte) {
  std::string text;
  for (int i = 1; i < 128; ++i) text += static_cast<char>(i);
  text += "\u00e4\u20ac\u2028\U0001f600" + std::string(40000, 'q') + "\n\nlast";
  {
    LogWriter writer({LogDriver::json_file, path(), 20000, 10, ""});
    for (std::size_t at = 0; at < text.size(); at += 777) writer.write(1, std::string_view(text).substr(at, 777));
    writer.finish(1);
  }
  EXPECT_EQ(unframe(read({})).out, text);
}

// --- following ---

class LogFollowerTest : public LogReaderTest {};

TEST_F(LogFollowerTest, GetsWhatIsThereThenWhatComesThenTheEnd) {
  LogWriter writer({LogDriver::json_file, path(), -1, 1, ""});
  writer.write(1, "before\n");
  LogFollower follower;
  const UniqueFd stream = follower.follow("c", path(), {});
  EXPECT_EQ(unframe(read_all(stream.get(), 8 + 7)).out, "before\n");
  writer.write(2, "after\n");
  EXPECT_EQ(unframe(read_all(stream.get(), 8 + 6)).err, "after\n");
  writer.write(1, "last\n");
  follower.finish("c");
  EXPECT_EQ(unframe(read_all(stream.get())).out, "last\n");
}

TEST_F(LogFollowerTest, LosesAndRepeatsNothingAcrossRotations) {
  constexpr int kLines = 20000;
  LogWriter writer({LogDriver::json_file, path(), 100'000, 1000, ""});
  writer.write(1, "0\n");
  LogFollower follower;
  const UniqueFd stream = follower.follow("c", path(), {});
  std::thread producer([&] {
    for (int i = 1; i < kLines; ++i) writer.write(1, std::to_string(i) + "\n");
    follower.finish("c");
  });
  const auto streams = unframe(read_all(stream.get()));
  producer.join();
  EXPECT_TRUE(std::filesystem::exists(path() + ".5"));
  std::string wanted;
  for (int i = 0; i < kLines; ++i) wanted += std::to_string(i) + "\n";
  EXPECT_TRUE(streams.out == wanted) << streams.out.size() << " of " << wanted.size();
}

// Rotation at every few lines, far faster than anybody can follow; every reader has to keep the order and miss nothing
// that still exists.
TEST_F(LogFollowerTest, ReadersThatComeDuringRotationSeeAWholeLog) {
  constexpr int kLines = 4000;
  LogWriter writer({LogDriver::json_file, path(), 700, 1000, ""});
  writer.write(1, "0\n");
  LogFollower follower;
  const UniqueFd stream = follower.follow("c", path(), {});
  std::atomic<bool> done = false;
  std::thread producer([&] {
    for (int i = 1; i < kLines; ++i) writer.write(1, std::to_string(i) + "\n");
    done = true;
    follower.finish("c");
  });
  int reads = 0;
  while (!done || reads == 0) {
    const auto text = unframe(read({})).out;
    std::string wanted;
    const auto count = std::count(text.begin(), text.end(), '\n');
    for (int i = 0; i < count; ++i) wanted += std::to_string(i) + "\n";
    EXPECT_TRUE(text == wanted) << "read " << reads;
    if (text != wanted) break;
    ++reads;
  }
  producer.join();
  std::string wanted;
  for (int i = 0; i < kLines; ++i) wanted += std::to_string(i) + "\n";
  EXPECT_TRUE(unframe(read_all(stream.get())).out == wanted);
}

TEST_F(LogFollowerTest, RotationThatWasCutShortIsReadOnceAndFinished) {
  const LogConfig config{LogDriver::json_file, path(), 150, 5, ""};
  { LogWriter(config).write(1, "a\nb\nc\nd\n"); }
  // Killed between giving the live file its second name and making it the old one.
  std::filesystem::rename(path() + ".1", path() + ".2");
  std::filesystem::create_hard_link(path(), path() + ".1");
  { LogWriter(config).write(1, "e\nf\n"); }
  EXPECT_EQ(unframe(read({})).out, "a\nb\nc\nd\ne\nf\n");
  // And killed between moving the older ones and giving it.
  std::filesystem::rename(path() + ".2", path() + ".4");
  std::filesystem::rename(path() + ".1", path() + ".2");
  EXPECT_FALSE(unframe(read({})).out.empty());
}

TEST_F(LogFollowerTest, ManyFollowersOneSlowNobodyWaitsForIt) {
  LogWriter writer({LogDriver::json_file, path(), -1, 1, ""});
  writer.write(1, "x\n");
  LogFollower follower;
  const UniqueFd slow = follower.follow("c", path(), {});
  std::vector<UniqueFd> others;
  for (int i = 0; i < 20; ++i) others.push_back(follower.follow("c", path(), {}));
  const std::string block(1000, 'b');
  for (int i = 0; i < 2000; ++i) writer.write(1, block + "\n");
  follower.finish("c");
  for (const auto& other : others) EXPECT_EQ(unframe(read_all(other.get())).out.size(), 2u + 2000 * 1001);
  EXPECT_EQ(unframe(read_all(slow.get())).out.size(), 2u + 2000 * 1001);
}

TEST_F(LogFollowerTest, TailZeroShowsOnlyNewLinesAndHangUpEndsIt) {
  LogWriter writer({LogDriver::json_file, path(), -1, 1, ""});
  writer.write(1, "old\n");
  const std::size_t before = open_descriptors();
  {
    LogFollower follower;
    LogQuery query;
    query.tail = 0;
    UniqueFd stream = follower.follow("c", path(), query);
    writer.write(1, "new\n");
    EXPECT_EQ(unframe(read_all(stream.get(), 8 + 4)).out, "new\n");
    UniqueFd gone = follower.follow("c", path(), {});
    gone.reset();
    writer.write(1, "more\n");
    EXPECT_EQ(unframe(read_all(stream.get(), 8 + 5)).out, "more\n");
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(LogFollowerTest, UntilInTheFutureEndsTheStream) {
  LogWriter writer({LogDriver::json_file, path(), -1, 1, ""});
  writer.write(1, "x\n");
  LogFollower follower;
  LogQuery query;
  query.until = wall_now() + std::chrono::milliseconds(200);
  const UniqueFd stream = follower.follow("c", path(), query);
  EXPECT_EQ(unframe(read_all(stream.get())).out, "x\n");
}

}  // namespace
}  // namespace bryo::monitor

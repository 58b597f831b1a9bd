#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "cli/terminal/demultiplexer.hpp"
#include "cli/terminal/detach_keys.hpp"
#include "cli/terminal/progress.hpp"
#include "cli/terminal/signals.hpp"

namespace bryo::cli {
namespace {

TEST(DetachKeys, NamesBecomeBytes) {
  EXPECT_EQ(parse_detach_keys(""), "\x10\x11");
  EXPECT_EQ(parse_detach_keys("ctrl-a,x"), "\x01x");
  EXPECT_EQ(parse_detach_keys("ctrl-@").size(), 1U);
  for (const char* bad : {"ctrl-", "ctrl-!", "ctrl-aa", "xy", "a,,b"})
    EXPECT_THROW(parse_detach_keys(bad), Error) << bad;
}

TEST(DetachKeys, OnlyTheWholeSequenceDetaches) {
  DetachWatcher watcher("\x10\x11");
  EXPECT_EQ(watcher.feed("ab\x10").pass, "ab");
  const auto broken = watcher.feed("c");
  EXPECT_EQ(broken.pass,
            "\x10"
            "c");
  EXPECT_FALSE(broken.detached);
  EXPECT_EQ(watcher.feed("\x10\x10").pass, "\x10");
  EXPECT_TRUE(watcher.feed("\x11rest").detached);
  EXPECT_TRUE(DetachWatcher("x").feed("x").detached);
  EXPECT_EQ(DetachWatcher("").feed("abc").pass, "abc");
}

std::string frame(char stream, std::string_view text) {
  std::string out(8, '\0');
  out[0] = stream;
  out[7] = static_cast<char>(text.size());
  return out.append(text);
}

TEST(Demultiplexer, FramesInAnyPieces) {
  const std::string stream = frame(1, "hello") + frame(2, "oops") + frame(1, "") + frame(1, " world");
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    Demultiplexer demultiplexer;
    std::string out;
    std::string err;
    for (std::size_t at = 0; at < stream.size(); at += piece) demultiplexer.feed(stream.substr(at, piece), out, err);
    EXPECT_EQ(out, "hello world");
    EXPECT_EQ(err, "oops");
  }
}

TEST(Demultiplexer, TheDaemonsOwnErrorsAndNonsenseEndTheStream) {
  std::string out;
  std::string err;
  try {
    Demultiplexer().feed(frame(3, "bad\x1bthing"), out, err);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "error from daemon in stream: bad\\x1bthing");
  }
  EXPECT_THROW(Demultiplexer().feed("not framed at all", out, err), Error);
}

std::string shown(bool terminal, unsigned columns, const std::vector<const char*>& messages) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  {
    const UniqueFd writer(ends[1]);
    Output out(writer.get());
    ProgressDisplay display(out, terminal, columns);
    for (const char* message : messages) display.show(json::parse(message));
    out.flush();
  }
  std::array<char, 65536> text;
  const ssize_t got = ::read(reader.get(), text.data(), text.size());
  return std::string(text.data(), static_cast<std::size_t>(got < 0 ? 0 : got));
}

TEST(Progress, PlainLinesForFiles) {
  EXPECT_EQ(shown(false, 0,
                  {R"({"status":"Pulling from library/busybox","id":"latest"})",
                   R"({"status":"Pulling fs layer","progressDetail":{},"id":"abc"})",
                   R"({"status":"Downloading","progressDetail":{"current":1,"total":2},"progress":"x","id":"abc"})",
                   R"({"status":"Pull complete","progressDetail":{},"id":"abc"})", R"({"status":"Digest: sha256:12"})",
                   R"({"stream":"Loaded image: x\n"})"}),
            "latest: Pulling from library/busybox\nabc: Pulling fs layer\nabc: Pull complete\nDigest: sha256:12\n"
            "Loaded image: x\n");
}

TEST(Progress, LayersKeepTheirLineOnATerminal) {
  EXPECT_EQ(shown(true, 80,
                  {R"({"status":"Waiting","progressDetail":{},"id":"a"})",
                   R"({"status":"Waiting","progressDetail":{},"id":"b"})",
                   R"({"status":"Downloading","progressDetail":{"current":1500,"total":3000},"id":"a"})"}),
            "\n\x1b[1A\r\x1b[2Ka: Waiting\r\x1b[1B"
            "\n\x1b[1A\r\x1b[2Kb: Waiting\r\x1b[1B"
            "\x1b[2A\r\x1b[2Ka: Downloading    1.5kB/3kB\r\x1b[2B");
  const std::string wide = shown(true, 120, {R"({"status":"D","progressDetail":{"current":50,"total":100},"id":"a"})"});
  EXPECT_NE(wide.find("a: D [=========================>                         ]      50B/100B"), std::string::npos);
}

TEST(Progress, TextOfTheDaemonCannotDriveTheTerminal) {
  const std::string text = shown(false, 0, {R"({"status":"\u001b]0;title\u0007","id":"\u001b[2J"})"});
  EXPECT_EQ(text, "\\x1b[2J: \\x1b]0;title\\x07\n");
}

TEST(Progress, ErrorsAreThrown) {
  try {
    shown(false, 0, {R"({"errorDetail":{"message":"denied","code":401},"error":"x"})"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "denied");
    EXPECT_EQ(error.kind(), ErrorKind::unauthorized);
  }
}

TEST(Progress, NumbersOutOfRangeDoNoHarm) {
  shown(true, 200,
        {R"({"status":"D","progressDetail":{"current":1e300,"total":1},"id":"a"})",
         R"({"status":"D","progressDetail":{"current":-5,"total":-1},"id":"a"})",
         R"({"status":"D","progressDetail":{"current":"x","total":[]},"id":"a"})", R"([1])", R"("x")"});
}

TEST(Signals, AreQueuedAndNamed) {
  SignalQueue queue({SIGUSR1});
  EXPECT_FALSE(queue.next());
  ::raise(SIGUSR1);
  EXPECT_EQ(queue.next(), SIGUSR1);
  EXPECT_EQ(signal_name(SIGINT), "INT");
}

}  // namespace
}  // namespace bryo::cli

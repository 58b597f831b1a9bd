// The hub and a real monitor process: attach, stdin, terminals, exec.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <filesystem>
#include <thread>

#include "monitor/hub_fixture.hpp"
#include "monitor/protocol.hpp"

namespace bryo::monitor {
namespace {

using namespace testing_support;
using testing::HasSubstr;

class HubStreamsTest : public HubTest {};

TEST_F(HubStreamsTest, AttachBeforeStartMissesNothing) {
  for (int i = 0; i < 20; ++i) {
    const auto monitor = hub_->spawn(shell("printf first; printf second >&2; printf third"));
    const UniqueFd one = monitor->attach(kAll);
    const UniqueFd two = monitor->attach({false, false, true});
    monitor->start();
    const auto streams = unframe(read_all(one.get()));
    EXPECT_TRUE(streams.well_formed);
    EXPECT_EQ(streams.out, "firstthird");
    EXPECT_EQ(streams.err, "second");
    EXPECT_EQ(unframe(read_all(two.get())).err, "second");
    ASSERT_TRUE(listener_.wait_exit("c1").has_value());
    monitor->close();
  }
}

TEST_F(HubStreamsTest, StdinEndsWithTheFirstClientWhenAskedTo) {
  auto start = request({"cat"});
  start.open_stdin = start.stdin_once = true;
  const auto monitor = hub_->spawn(std::move(start));
  const UniqueFd stream = monitor->attach(kAll);
  monitor->start();
  const std::string text(3'000'000, 'i');
  std::thread writer([&] {
    write_all(stream.get(), text);
    ::shutdown(stream.get(), SHUT_WR);
  });
  EXPECT_TRUE(unframe(read_all(stream.get())).out == text);
  writer.join();
  EXPECT_EQ(listener_.wait_exit("c1")->code, 0);
}

TEST_F(HubStreamsTest, WithoutStdinOnceTheClientIsDetachedAndStdinStays) {
  auto start = request({"cat"});
  start.open_stdin = true;
  const auto monitor = hub_->spawn(std::move(start));
  monitor->start();
  UniqueFd first = monitor->attach(kAll);
  write_all(first.get(), "one\n");
  EXPECT_EQ(unframe(read_all(first.get(), 12)).out, "one\n");
  ::shutdown(first.get(), SHUT_WR);
  EXPECT_EQ(read_all(first.get()), "");
  const UniqueFd second = monitor->attach(kAll);
  write_all(second.get(), "two\n");
  EXPECT_EQ(unframe(read_all(second.get(), 12)).out, "two\n");
  monitor->signal(SIGKILL);
  EXPECT_EQ(listener_.wait_exit("c1")->code, 137);
}

TEST_F(HubStreamsTest, WithoutOpenStdinItIsEmpty) {
  const auto monitor = hub_->spawn(request({"cat"}));
  const UniqueFd stream = monitor->attach(kAll);
  monitor->start();
  EXPECT_EQ(listener_.wait_exit("c1")->code, 0);
  EXPECT_EQ(read_all(stream.get()), "");
}

TEST_F(HubStreamsTest, SlowClientHoldsUpTheProcessAndLosesNothing) {
  constexpr std::size_t kBytes = 8'000'000;
  const auto monitor = hub_->spawn(shell("head -c 8000000 /dev/zero; echo done >&2"));
  const UniqueFd slow = monitor->attach({false, true, false});
  const UniqueFd errors = monitor->attach({false, false, true});
  monitor->start();
  // The process cannot have come to its end: nobody has taken its output.
  pollfd wait{errors.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, 200), 0);
  EXPECT_EQ(unframe(read_all(slow.get())).out.size(), kBytes);
  EXPECT_EQ(unframe(read_all(errors.get())).err, "done\n");
  EXPECT_EQ(listener_.wait_exit("c1")->code, 0);
}

TEST_F(HubStreamsTest, ClientThatHangsUpIsForgottenAtOnce) {
  const auto monitor = hub_->spawn(shell("head -c 8000000 /dev/zero; exit 4"));
  UniqueFd slow = monitor->attach(kAll);
  monitor->start();
  read_all(slow.get(), 1000);
  slow.reset();
  EXPECT_EQ(listener_.wait_exit("c1")->code, 4);
}

TEST_F(HubStreamsTest, SlowReaderGetsTheRestAfterTheExitWasReported) {
  const auto monitor = hub_->spawn(shell("head -c 300000 /dev/zero"));
  const UniqueFd slow = monitor->attach(kAll);
  monitor->start();
  EXPECT_EQ(listener_.wait_exit("c1")->code, 0);
  monitor->close();
  EXPECT_EQ(unframe(read_all(slow.get())).out.size(), 300000u);
}

TEST_F(HubStreamsTest, TerminalIsRawAndResizable) {
  auto start = request({"tty", "sh", "-c", "stty size; read x; stty size; echo got $x"});
  start.terminal = start.open_stdin = true;
  start.console_size = {33, 99};
  const auto monitor = hub_->spawn(std::move(start));
  const UniqueFd stream = monitor->attach({true, true, false});
  monitor->start();
  EXPECT_EQ(read_all(stream.get(), 7), "33 99\r\n");
  monitor->resize("", {50, 120});
  write_all(stream.get(), "hi\n");
  const std::string rest = read_all(stream.get());
  EXPECT_THAT(rest, HasSubstr("50 120\r\n"));
  EXPECT_THAT(rest, HasSubstr("got hi\r\n"));
  EXPECT_EQ(listener_.wait_exit("c1")->code, 0);
  EXPECT_THAT(log().out, HasSubstr("got hi\r\n"));
}

TEST_F(HubStreamsTest, ResizeWithoutTerminalIsAnError) {
  const auto monitor = hub_->spawn(request({"sleep", "1000"}));
  monitor->start();
  EXPECT_THROW(monitor->resize("", {1, 1}), Error);
  EXPECT_THROW(monitor->resize("no such exec", {1, 1}), Error);
  monitor->signal(SIGKILL);
  listener_.wait_exit("c1");
}

TEST_F(HubStreamsTest, ExecStreamsAndReportsItsExit) {
  const auto monitor = hub_->spawn(request({"sleep", "1000"}));
  monitor->start();
  for (int i = 0; i < 20; ++i) {
    const std::string id = "e" + std::to_string(i);
    ExecRequest exec{id, plain_plan({"sh", "-c", "cat; echo bad >&2; exit 5"}), {}, false, kAll, {}};
    const ExecStarted started = monitor->exec(std::move(exec));
    EXPECT_GT(started.pid, 0);
    write_all(started.stream.get(), "in");
    ::shutdown(started.stream.get(), SHUT_WR);
    const auto streams = unframe(read_all(started.stream.get()));
    EXPECT_EQ(streams.out, "in");
    EXPECT_EQ(streams.err, "bad\n");
    EXPECT_EQ(listener_.wait_exec_exit("c1", id), 5);
  }
  // Detached, by signal, not found, terminal.
  EXPECT_FALSE(
      monitor->exec({"d", plain_plan({"sh", "-c", "kill -9 $$"}), {}, false, {false, false, false}, {}}).stream);
  EXPECT_EQ(listener_.wait_exec_exit("c1", "d"), 137);
  try {
    monitor->exec({"n", plain_plan({"/no/such"}), {}, false, kAll, {}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 127);
  }
  const auto tty = monitor->exec({"t", plain_plan({"tty", "stty", "size"}), {}, true, {true, true, false}, {40, 80}});
  EXPECT_EQ(listener_.wait_exec_exit("c1", "t"), 0);
  EXPECT_TRUE(monitor->status().running_execs.empty());
  monitor->signal(SIGKILL);
  EXPECT_EQ(listener_.wait_exit("c1")->code, 137);
}

TEST_F(HubStreamsTest, DaemonThatKeepsTheStreamsDoesNotHoldUpTheExit) {
  const auto monitor = hub_->spawn(shell("sleep 5 & echo $!; exit 6"));
  const auto before = std::chrono::steady_clock::now();
  const UniqueFd stream = monitor->attach(kAll);
  monitor->start();
  const auto out = unframe(read_all(stream.get())).out;
  EXPECT_EQ(listener_.wait_exit("c1")->code, 6);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(4));
  ::kill(std::stoi(out), SIGKILL);
}

}  // namespace
}  // namespace bryo::monitor

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "engine/container_table.hpp"
#include "engine/events.hpp"

namespace bryo::engine {
namespace {

std::string read_line(const UniqueFd& fd) {
  std::string line;
  char c = 0;
  while (::read(fd.get(), &c, 1) == 1 && c != '\n') line += c;
  return line;
}

TEST(Events, FilteredOnesArriveInOrderAndPastOnesFirst) {
  WorkerPool pool(4);
  EventBus bus(pool);
  const WallTime start = wall_now();
  bus.publish("container", "create", "abc", {{"name", "web"}, {"image", "busybox:latest"}});
  const UniqueFd fd = bus.subscribe(start, std::nullopt, {{"type", {"container"}}, {"event", {"create", "die"}}});
  bus.publish("container", "start", "abc", {{"name", "web"}});
  bus.publish("image", "pull", "x", {});
  bus.publish("container", "die", "abc", {{"name", "web"}, {"exitCode", "3"}});
  EXPECT_THAT(read_line(fd), testing::HasSubstr("\"Action\":\"create\""));
  EXPECT_THAT(read_line(fd), testing::HasSubstr("\"exitCode\":\"3\""));
}

TEST(Events, AStreamWithUntilEnds) {
  WorkerPool pool(4);
  EventBus bus(pool);
  const UniqueFd fd = bus.subscribe(std::nullopt, wall_now() + std::chrono::milliseconds(30), {});
  EXPECT_EQ(read_line(fd), "");
}

TEST(Events, AReaderThatDoesNotReadIsCutOffAndHoldsNobodyUp) {
  WorkerPool pool(4);
  EventBus bus(pool);
  const UniqueFd fd = bus.subscribe(std::nullopt, std::nullopt, {});
  for (int i = 0; i < 100'000; ++i) bus.publish("container", "exec_die", "abc", {{"name", "some container"}});
  std::size_t bytes = 0;
  char buffer[65536];
  while (const auto got = ::read(fd.get(), buffer, sizeof buffer)) bytes += static_cast<std::size_t>(got);
  EXPECT_GT(bytes, 0U);  // what fitted, then the end: the gap is visible
}

// What the kernel allows by default (net.core.wmem_max) is less than as many small packets take.
TEST(Events, AllThatAreKeptFitAtOnce) {
  constexpr int kUsualLimit = 212992, kKept = 256;
  WorkerPool pool(4);
  EventBus bus(pool, kUsualLimit);
  const WallTime start = wall_now();
  const std::string label(600, 'x');
  for (int i = 0; i < kKept; ++i) bus.publish("container", "start", std::to_string(i), {{"label", label}});
  const UniqueFd fd = bus.subscribe(start, wall_now(), {});
  for (int i = 0; i < kKept; ++i) ASSERT_THAT(read_line(fd), testing::HasSubstr(fmt::format("\"id\":\"{}\"", i)));
}

TEST(Table, PrefixesNamesAndAmbiguity) {
  ContainerTable table;
  for (const char* id : {"abc1", "abd2"}) {
    Record record;
    record.id = id;
    record.name = table.reserve_name("", id);
    table.add(std::make_shared<Container>(record));
  }
  EXPECT_EQ(table.find("abc")->record.id, "abc1");
  EXPECT_THROW(table.find("ab"), Error);
  EXPECT_THROW(table.find("x"), Error);
  table.reserve_name("web", "zzz");
  EXPECT_THROW(table.reserve_name("/web", "yyy"), Error);
  EXPECT_THROW(table.reserve_name("-rf", "yyy"), Error);
}

TEST(EventHistory, ForgetsTheOldestAndNeverMixesLines) {
  EventHistory history;
  const auto at = [](int n) { return WallTime(std::chrono::nanoseconds(n)); };
  std::vector<std::string> all;
  for (int n = 0; n < 2000; ++n) {
    all.push_back(std::string(static_cast<std::size_t>(1 + n * 7919 % 9000), static_cast<char>('a' + n % 26)));
    history.add(at(n), all.back());
    std::vector<int> seen;
    history.each([&](WallTime time, std::string_view line) {
      const auto number = static_cast<int>(time.time_since_epoch().count());
      ASSERT_EQ(line, all.at(static_cast<std::size_t>(number)));
      if (!seen.empty()) {
        ASSERT_EQ(number, seen.back() + 1);
      }
      seen.push_back(number);
    });
    ASSERT_FALSE(seen.empty());
    EXPECT_EQ(seen.back(), n);
    EXPECT_LE(seen.size(), 256U);
    EXPECT_EQ(history.newest(), at(n));
  }
  history.add(at(5000), std::string(1U << 20, 'x'));
  EXPECT_EQ(history.newest(), at(1999)) << "larger than all of it";
}

}  // namespace
}  // namespace bryo::engine

#include "rootless/usernet/poll_set.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "base/unique_fd.hpp"

namespace bryo::rootless::usernet {
namespace {

struct Pipe {
  UniqueFd read, write;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  void fill() const { ASSERT_EQ(::write(write.get(), "x", 1), 1); }
};

class PollSetTest : public ::testing::Test {
 protected:
  // One round, in which these are wanted.
  void round(std::initializer_list<std::pair<int, std::uint32_t>> wanted) {
    set_.begin();
    for (const auto& [fd, events] : wanted) set_.want(fd, events);
    set_.wait(0);
  }
  PollSet set_;
};

TEST_F(PollSetTest, TellsWhatHappenedToThoseThatWereNamed) {
  const Pipe quiet, loud;
  loud.fill();
  round({{quiet.read.get(), EPOLLIN}, {loud.read.get(), EPOLLIN}, {loud.write.get(), EPOLLOUT}});
  EXPECT_EQ(set_.seen(quiet.read.get()), 0U);
  EXPECT_EQ(set_.seen(loud.read.get()), std::uint32_t{EPOLLIN});
  EXPECT_EQ(set_.seen(loud.write.get()), std::uint32_t{EPOLLOUT});
  EXPECT_EQ(set_.seen(4000), 0U) << "never named";
  EXPECT_EQ(set_.size(), 3U);
}

TEST_F(PollSetTest, LevelsAreSeenAgainAndOldNewsAreNot) {
  const Pipe pipe;
  pipe.fill();
  for (int i = 0; i < 3; ++i) {
    round({{pipe.read.get(), EPOLLIN}});
    EXPECT_EQ(set_.seen(pipe.read.get()), std::uint32_t{EPOLLIN}) << i;
  }
  char byte;
  ASSERT_EQ(::read(pipe.read.get(), &byte, 1), 1);
  round({{pipe.read.get(), EPOLLIN}});
  EXPECT_EQ(set_.seen(pipe.read.get()), 0U);
}

TEST_F(PollSetTest, WhatIsNotNamedIsNotHeardOf) {
  const Pipe pipe;
  pipe.fill();
  round({{pipe.read.get(), EPOLLIN}});
  round({});
  EXPECT_EQ(set_.seen(pipe.read.get()), 0U);
  EXPECT_EQ(set_.size(), 0U);
  round({{pipe.read.get(), EPOLLOUT}});
  EXPECT_EQ(set_.seen(pipe.read.get()), 0U) << "other events";
  round({{pipe.read.get(), EPOLLIN}});
  EXPECT_EQ(set_.seen(pipe.read.get()), std::uint32_t{EPOLLIN});
}

// libslirp closes a socket, and the next one gets its number, in one round or the other.
TEST_F(PollSetTest, ANumberThatComesBackIsAnother) {
  for (const bool between : {false, true}) {
    auto first = std::make_unique<Pipe>();
    first->fill();
    const int number = first->read.get();
    round({{number, EPOLLIN}});
    ASSERT_EQ(set_.seen(number), std::uint32_t{EPOLLIN});
    set_.forget(number);
    EXPECT_EQ(set_.seen(number), 0U);
    first.reset();
    if (between) round({});
    Pipe second;
    // Whatever number it got, it has this one from here on.
    if (second.read.get() != number) {
      ASSERT_EQ(::dup3(second.read.get(), number, O_CLOEXEC), number);
      second.read.reset(number);
    }
    round({{number, EPOLLIN}});
    EXPECT_EQ(set_.seen(number), 0U) << between;
    second.fill();
    round({{number, EPOLLIN}});
    EXPECT_EQ(set_.seen(number), std::uint32_t{EPOLLIN}) << between;
    set_.forget(number);
  }
}

}  // namespace
}  // namespace bryo::rootless::usernet

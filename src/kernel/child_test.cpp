#include "kernel/child.hpp"

#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include "base/error.hpp"

namespace bryo::kernel {
namespace {

using ::testing::HasSubstr;
constexpr std::chrono::seconds kLong{20};

TEST(Child, WhatGoesWellIsNoFailureAndStaysInTheChild) {
  int value = 1;
  EXPECT_FALSE(try_in_child([&] { value = 2; }, kLong));
  EXPECT_EQ(value, 1);
}

TEST(Child, AFailureComesBackWithItsNumber) {
  const auto failure = try_in_child([] { throw Error::from_errno(EPERM, "mount x"); }, kLong);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->number, EPERM);
  EXPECT_THAT(failure->message, HasSubstr("mount x"));
}

TEST(Child, ADeadChildIsAFailure) {
  const auto failure = try_in_child([] { ::kill(::getpid(), SIGKILL); }, kLong);
  ASSERT_TRUE(failure);
  EXPECT_THAT(failure->message, HasSubstr("signal 9"));
}

TEST(Child, ASlowChildIsEndedAndAFailure) {
  const auto failure = try_in_child([] { ::pause(); }, std::chrono::milliseconds(30));
  ASSERT_TRUE(failure);
  EXPECT_THAT(failure->message, HasSubstr("30 ms"));
}

TEST(Child, OneThatLeavesWithoutAWordIsAFailure) {
  const auto failure = try_in_child([] { ::_exit(0); }, kLong);
  ASSERT_TRUE(failure);
  EXPECT_THAT(failure->message, HasSubstr("status 0"));
}

}  // namespace
}  // namespace bryo::kernel

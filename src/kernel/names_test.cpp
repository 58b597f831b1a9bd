// Names and numbers of capabilities, limits and namespaces, and processes told apart.
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.hpp"
#include "kernel/capabilities.hpp"
#include "kernel/process.hpp"
#include "kernel/rlimits.hpp"

namespace bryo::kernel {
namespace {

TEST(Capabilities, NamesAreTheKernels) {
  EXPECT_EQ(capability_number("CAP_CHOWN"), 0U);
  EXPECT_EQ(capability_number("cap_sys_admin"), unsigned{CAP_SYS_ADMIN});
  EXPECT_EQ(capability_number("NET_BIND_SERVICE"), unsigned{CAP_NET_BIND_SERVICE});
  EXPECT_EQ(capability_number("CAP_CHECKPOINT_RESTORE"), 40U);
  EXPECT_EQ(capability_number("CAP_BOGUS"), std::nullopt);
  EXPECT_EQ(capability_number(""), std::nullopt);
  for (unsigned i = 0; i < kKnownCapabilities; ++i) EXPECT_EQ(capability_number(capability_name(i)), i);
  EXPECT_EQ(capability_name(57), "CAP_57");
  EXPECT_GE(last_capability(), 37U);
}

TEST(Limits, NamesAreTheKernels) {
  EXPECT_EQ(resource_number("RLIMIT_NOFILE"), unsigned{RLIMIT_NOFILE});
  EXPECT_EQ(resource_number("rttime"), unsigned{RLIMIT_RTTIME});
  EXPECT_EQ(resource_number("RLIMIT_BOGUS"), std::nullopt);
  for (unsigned i = 0; i < kResources; ++i) EXPECT_EQ(resource_number(resource_name(i)), i);
  EXPECT_LE(own_limits(RLIMIT_NOFILE).soft, own_limits(RLIMIT_NOFILE).hard);
}

TEST(Limits, WhatIsAttainableIsWhatPrlimitWouldGrant) {
  const ResourceLimits before = own_limits(RLIMIT_NOFILE);
  EXPECT_EQ(attainable_limit(RLIMIT_NOFILE, before.hard), before.hard);
  EXPECT_EQ(attainable_limit(RLIMIT_NOFILE, 1), 1U);
  // More than fs.nr_open can ever be: refused to everybody.
  const std::uint64_t most = attainable_limit(RLIMIT_NOFILE, std::uint64_t{1} << 40);
  EXPECT_GE(most, before.hard);
  EXPECT_LT(most, std::uint64_t{1} << 40);
  EXPECT_EQ(attainable_limit(RLIMIT_NOFILE, most), most);
  const ResourceLimits after = own_limits(RLIMIT_NOFILE);
  EXPECT_EQ(after.soft, before.soft);
  EXPECT_EQ(after.hard, before.hard);
}

TEST(Process, IsKnownByNumberAndStartTime) {
  const auto stat = process_stat(::getpid());
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->state, 'R');
  EXPECT_TRUE(open_process(::getpid(), stat->start_time));
  EXPECT_FALSE(open_process(::getpid(), stat->start_time + 1)) << "another process with our number";
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info = {};
  ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  EXPECT_EQ(process_stat(child)->state, 'Z');
  EXPECT_FALSE(process_stat(child)->executed);
  EXPECT_TRUE(stat->executed);
  const UniqueFd pidfd = open_process(child, process_stat(child)->start_time);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(process_stat(child), std::nullopt);
  EXPECT_FALSE(send_signal(pidfd.get(), SIGKILL));
}

}  // namespace
}  // namespace bryo::kernel

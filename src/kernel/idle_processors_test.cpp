#include "kernel/idle_processors.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace bryo::kernel {
namespace {

cpu_set_t own_processors() {
  cpu_set_t out;
  EXPECT_EQ(::sched_getaffinity(0, sizeof out, &out), 0);
  return out;
}

TEST(IdleProcessorsTest, WhoMayRunOnOneOnlyHasNone) {
  std::thread([] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_FALSE(idle_processors());
  }).join();
}

TEST(IdleProcessorsTest, ABusyMachineHasNone) {
  const cpu_set_t own = own_processors();
  std::atomic<bool> over = false;
  std::vector<std::thread> busy;
  for (int i = 0; i < CPU_COUNT(&own); ++i)
    busy.emplace_back([&] {
      while (!over) {
      }
    });
  EXPECT_FALSE(idle_processors());
  over = true;
  for (std::thread& thread : busy) thread.join();
}

TEST(IdleProcessorsTest, AreSomeOfTheCallersOwn) {
  const auto idle = idle_processors();
  if (!idle) GTEST_SKIP() << "all are busy";
  const cpu_set_t own = own_processors();
  cpu_set_t both;
  CPU_AND(&both, &own, &*idle);
  EXPECT_TRUE(CPU_EQUAL(&both, &*idle));
  EXPECT_EQ(CPU_COUNT(&own), CPU_COUNT(&*idle) + 1);
}

}  // namespace
}  // namespace bryo::kernel

// Processes found in /proc, with processes of our own: some in pid namespaces, which needs root.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <functional>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "kernel/processes.hpp"

namespace bryo::kernel {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;

// A child that tells when it has done its work, and then waits to be killed.
class Child {
 public:
  explicit Child(const std::function<void()>& work) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail_errno("pipe2");
    const UniqueFd reading(ends[0]);
    UniqueFd writing(ends[1]);
    pid_ = ::fork();
    if (pid_ == 0) {
      work();
      (void)!::write(writing.get(), "x", 1);
      while (true) ::pause();
    }
    writing.reset();
    char done = 0;
    if (::read(reading.get(), &done, 1) != 1) fail(ErrorKind::internal, "the child ended early");
  }
  ~Child() {
    for (const pid_t pid : processes_around(pid_)) ::kill(pid, SIGKILL);
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

pid_t fork_pausing() {
  const pid_t pid = ::fork();
  if (pid == 0)
    while (true) ::pause();
  return pid;
}

TEST(ProcessesAround, InOurOwnNamespaceAreTheDescendants) {
  const Child stranger([] {});
  const Child parent([] { fork_pausing(); });
  const auto found = processes_around(parent.pid());
  EXPECT_EQ(found.size(), 2U);
  EXPECT_THAT(found, Contains(parent.pid()));
  EXPECT_THAT(found, Not(Contains(stranger.pid())));
  EXPECT_THAT(descendants_of(::getpid()), IsSupersetOf({parent.pid(), stranger.pid()}));
}

// Two in the namespace, one in a namespace inside of it.
TEST(ProcessesAround, OfANamespaceAreAllInIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const Child outside([] {
    if (::unshare(CLONE_NEWPID) != 0) ::_exit(1);
    const pid_t first = ::fork();
    if (first == 0) {
      fork_pausing();
      if (::unshare(CLONE_NEWPID) != 0) ::_exit(1);
      fork_pausing();
      while (true) ::pause();
    }
  });
  std::vector<pid_t> below;
  for (int attempt = 0; attempt < 500 && below.size() < 3; ++attempt) {
    below = descendants_of(outside.pid());
    ::usleep(1000);
  }
  ASSERT_EQ(below.size(), 3U);
  EXPECT_EQ(processes_around(below.front()), below) << "all three, whichever was made first";
}

TEST(ProcessesAround, OneThatIsGoneHasNone) {
  const pid_t gone = ::fork();
  if (gone == 0) ::_exit(0);
  ::waitpid(gone, nullptr, 0);
  EXPECT_THAT(processes_around(gone), IsEmpty());
}

// A grandchild whose parent is gone is adopted, and killed too.
TEST(KillDescendants, LeavesNobody) {
  const Child adopter([] {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    const pid_t child = ::fork();
    if (child == 0) {
      fork_pausing();
      ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
    kill_descendants();
    ::waitpid(-1, nullptr, 0);
  });
  EXPECT_THAT(descendants_of(adopter.pid()), IsEmpty());
}

TEST(Usage, CountsTimeMemoryAndThreads) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer has a thread of its own in every process";
#endif
  constexpr std::size_t kSize = 32U << 20;
  const Child idle([] {});
  const Child busy([] {
    auto* memory = new char[kSize];
    std::memset(memory, 1, kSize);
    const clock_t begin = ::clock();
    while (::clock() - begin < CLOCKS_PER_SEC / 10) {
    }
    const pid_t child = ::fork();
    if (child == 0) {
      const clock_t first = ::clock();
      while (::clock() - first < CLOCKS_PER_SEC / 10) {
      }
      ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
  });
  const ProcessUsage none = usage_of({idle.pid()});
  const ProcessUsage some = usage_of({busy.pid()});
  EXPECT_EQ(some.threads, 1U);
  EXPECT_GE(some.memory, kSize);
  EXPECT_LT(none.memory, kSize);
  EXPECT_GE(some.user_time + some.system_time, 150'000'000U) << "its own time and that of the child it waited for";
  EXPECT_LT(none.user_time + none.system_time, 100'000'000U);
  EXPECT_EQ(usage_of({idle.pid(), busy.pid()}).threads, 2U);
}

}  // namespace
}  // namespace bryo::kernel

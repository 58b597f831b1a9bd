// A mount that only another process's mount namespace has, cloned by a thread. Needs root.
#include "kernel/foreign_mounts.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <functional>
#include <thread>

#include "base/error.hpp"
#include "kernel/idmap.hpp"

namespace bryo::kernel {
namespace {

// A child whose own mount namespace has a tmpfs over `directory`, with a file in it.
class Foreigner {
 public:
  explicit Foreigner(const std::string& directory) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail_errno("pipe2");
    const UniqueFd reader(ends[0]);
    UniqueFd writer(ends[1]);
    pid_ = ::fork();
    if (pid_ == 0) stay(directory.c_str(), writer.get());
    writer.reset();
    char done = 0;
    if (::read(reader.get(), &done, 1) != 1) fail(ErrorKind::internal, "the child could not mount anything");
  }
  ~Foreigner() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Foreigner(const Foreigner&) = delete;
  Foreigner& operator=(const Foreigner&) = delete;
  pid_t pid() const { return pid_; }

 private:
  [[noreturn]] static void stay(const char* directory, int link) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", directory, "tmpfs", 0, "size=64k") != 0 || ::chdir(directory) != 0 ||
        ::creat("only there", 0600) < 0 || ::write(link, "x", 1) != 1)
      ::_exit(1);
    for (;;) ::pause();
  }
  pid_t pid_ = -1;
};

class ForeignMounts : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    char name[] = "/tmp/bryo-foreign-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override {
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }
  std::string directory_;
};

TEST_F(ForeignMounts, AThreadClonesWhatOnlyTheOtherProcessSees) {
  const Foreigner foreigner(directory_);
  UniqueFd tree;
  std::thread([&] { tree = clone_tree_of(foreigner.pid(), directory_, false); }).join();
  EXPECT_EQ(::faccessat(tree.get(), "only there", F_OK, 0), 0);
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/only there"));
}

TEST_F(ForeignMounts, AFailureNamesThePathAndTheProcess) {
  const Foreigner foreigner(directory_);
  try {
    clone_tree_of(foreigner.pid(), directory_ + "/nothing", false);
    FAIL() << "nothing was cloned";
  } catch (const Error& error) {
    EXPECT_EQ(error.number(), ENOENT);
    EXPECT_THAT(error.what(),
                testing::HasSubstr(directory_ + "/nothing of process " + std::to_string(foreigner.pid())));
  }
}

// The thread sanitizer watches the ordinary memory of this one: the children that share it must not confuse its books.
TEST_F(ForeignMounts, AThreadThatSharedItsMemoryStillHandsOverItsResults) {
  const Foreigner foreigner(directory_);
  for (int round = 0; round < 20; ++round) {
    std::string before;
    std::string after;
    std::thread([&] {
      before = "before";
      clone_tree_of(foreigner.pid(), directory_, false);
      make_user_namespace("0 200000 1000\n", "0 200000 1000\n");
      after = "after";
    }).join();
    EXPECT_EQ(before + after, "beforeafter");
  }
}

}  // namespace
}  // namespace bryo::kernel

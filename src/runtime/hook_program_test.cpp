// Hooks of the host's side: what they read, what becomes of those that fail or do not end.
#include "runtime/hook_program.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "base/error.hpp"
#include "runtime/make_plan.hpp"
#include "runtime/test_support.hpp"

namespace bryo::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::read_text;
using testing::ScratchDirectory;
using ::testing::StartsWith;

HookProgram shell(const std::string& script, std::optional<int> timeout = {}) {
  return {"/bin/sh", {"sh", "-c", script}, {"A=b"}, timeout};
}

std::string failure_of(const HookProgram& hook) {
  const auto failures = try_hooks(std::vector{hook}, "poststop", "{}");
  return failures.empty() ? "" : failures.front();
}

TEST(HookProgram, StateIsCompletedWithoutParsing) {
  EXPECT_EQ(hook_state(R"({"id":"x")", "running", 7), R"({"id":"x","status":"running","pid":7})");
}

TEST(HookProgram, TheLastOfItsOutputSaysWhyItFailed) {
  EXPECT_EQ(failure_of(shell("exit 0")), "");
  EXPECT_EQ(failure_of(shell("exit 3")), "poststop hook /bin/sh failed: exit status 3");
  EXPECT_EQ(failure_of(shell("kill -9 $$")), "poststop hook /bin/sh failed: signal 9");
  EXPECT_EQ(failure_of(shell("echo a; echo why >&2; exit 3")), "poststop hook /bin/sh failed: exit status 3: a why");
  const std::string much = failure_of(shell("i=0; while [ $i -lt 30000 ]; do echo $i; i=$((i+1)); done; exit 1"));
  EXPECT_THAT(much, HasSubstr("29999"));
  EXPECT_THAT(much, Not(HasSubstr("29000"))) << "the end only, and more than a pipe takes";
}

TEST(HookProgram, OthersRunAlthoughOneFails) {
  ScratchDirectory scratch;
  const std::vector<HookProgram> hooks = {
      shell("exit 1"), {"/none/such", {"x"}, {}, {}}, shell("echo > " + (scratch / "ran"))};
  EXPECT_THAT(try_hooks(hooks, "poststop", "{}"),
              ElementsAre(StartsWith("poststop hook /bin/sh failed"), HasSubstr("run hook /none/such: ")));
  EXPECT_EQ(::access((scratch / "ran").c_str(), F_OK), 0);
  ::unlink((scratch / "ran").c_str());
  EXPECT_THROW(run_hooks(hooks, "prestart", "{}"), Error);
  EXPECT_NE(::access((scratch / "ran").c_str(), F_OK), 0) << "run_hooks stops at the first that fails";
}

TEST(HookProgram, WhatDoesNotEndIsEndedWithWhatItHasStarted) {
  ScratchDirectory scratch;
  EXPECT_EQ(failure_of(shell("sleep 600 & echo $! > " + (scratch / "pid") + "; echo begun; wait", 1)),
            "poststop hook /bin/sh did not end within 1 s: begun");
  const pid_t child = std::stoi(read_text(scratch / "pid"));
  for (int i = 0; i < 1000 && ::kill(child, 0) == 0; ++i) ::usleep(1000);
  EXPECT_NE(::kill(child, 0), 0);
  // A child that keeps the output open is not waited for.
  EXPECT_EQ(failure_of(shell("sleep 600 & echo $! > " + (scratch / "pid"))), "");
  ::kill(std::stoi(read_text(scratch / "pid")), SIGKILL);
}

TEST(HookProgram, InheritsNothingOfOurs) {
  ScratchDirectory scratch;
  const int open = ::open("/etc/passwd", O_RDONLY);  // as if somebody had forgotten O_CLOEXEC
  ASSERT_GE(open, 3);
  ::signal(SIGTERM, SIG_IGN);
  sigset_t blocked, before;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &blocked, &before);
  const std::string seen = scratch / "seen";
  EXPECT_EQ(failure_of(shell("cat > " + seen + "; pwd >> " + seen + "; ls /proc/self/fd | tr '\\n' ' ' >> " + seen +
                             "; grep SigBlk /proc/self/status >> " + seen + "; tr '\\0' ' ' < /proc/self/environ >> " +
                             seen)),
            "");
  EXPECT_EQ(failure_of(shell("kill -TERM $$")), "poststop hook /bin/sh failed: signal 15");
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ::signal(SIGTERM, SIG_DFL);
  ::close(open);
  EXPECT_EQ(read_text(seen), "{}/\n0 1 2 3 SigBlk:\t0000000000000000\nA=b ");
}

TEST(HookProgram, ProgramsOfASpec) {
  oci::RuntimeSpec spec;
  EXPECT_TRUE(hooks_of(spec).empty());
  spec.hooks.emplace();
  spec.hooks->poststop = {{"/a", {}, {"X=y"}, 5}};
  EXPECT_FALSE(hooks_of(spec).before_start());
  EXPECT_THAT(hooks_of(spec).poststop.at(0).arguments, ElementsAre("/a"));
  spec.hooks->create_runtime = {{"/a", {std::string("a\0b", 3)}, {}, {}}};
  const auto why = [&] {
    try {
      hooks_of(spec);
    } catch (const Error& error) {
      return error.message();
    }
    return std::string();
  };
  EXPECT_THAT(why(), HasSubstr("hooks.createRuntime[0].args"));
  spec.hooks->create_runtime = {{"a", {}, {}, {}}};
  EXPECT_THAT(why(), HasSubstr("hooks.createRuntime[0].path"));
  spec.hooks->create_runtime = {{"/a", {}, {}, 0}};
  EXPECT_THAT(why(), HasSubstr("hooks.createRuntime[0].timeout"));
}

}  // namespace
}  // namespace bryo::runtime

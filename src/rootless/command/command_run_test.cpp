#include "rootless/command/command_run.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/child_process.hpp"

namespace bryo::rootless::command {
namespace {

// A terminal sends to its whole group (si_code SI_KERNEL, sigaction(2)): the command has had that one.
TEST(RootlessSignals, OnlyWhatAProcessSentIsHandedOn) {
  sigset_t before;
  const UniqueFd signals = kernel::read_signals({SIGUSR1}, &before);
  siginfo_t info{};
  info.si_signo = SIGUSR1;
  info.si_code = SI_KERNEL;
  ASSERT_EQ(::syscall(SYS_rt_sigqueueinfo, ::getpid(), SIGUSR1, &info), 0);
  const ReceivedSignal terminal = receive_signal(signals.get());
  EXPECT_EQ(terminal.number, SIGUSR1);
  EXPECT_FALSE(terminal.from_process);
  ::kill(::getpid(), SIGUSR1);
  EXPECT_TRUE(receive_signal(signals.get()).from_process);
  EXPECT_FALSE(receive_signal(signals.get()));
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace
}  // namespace bryo::rootless::command

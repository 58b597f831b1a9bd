// bryo-init: the process with number 1 for programs that are no init (`docker run --init`). Starts the program,
// forwards signals to its process group, reaps whatever is left to it, and ends as the program ended.
//
//   /sbin/docker-init [-s] [-g] [--] PROGRAM [ARGUMENT…]
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

// Raised by our own faults: they stay ours.
constexpr int kOwn[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS};

sigset_t all_but_own() {
  sigset_t set;
  sigfillset(&set);
  for (const int signal : kOwn) sigdelset(&set, signal);
  return set;
}

[[noreturn]] void become(char** arguments, const sigset_t& before) {
  sigprocmask(SIG_SETMASK, &before, nullptr);
  // In a process group of its own, in the foreground of the terminal if there is one.
  setpgid(0, 0);
  signal(SIGTTOU, SIG_IGN);
  tcsetpgrp(0, getpgrp());
  signal(SIGTTOU, SIG_DFL);
  execvp(arguments[0], arguments);
  const int reason = errno;
  fprintf(stderr, "docker-init: exec %s: %s\n", arguments[0], strerror(reason));
  _exit(reason == ENOENT ? 127 : 126);
}

// Reaps everything that has ended; true when the program was among it.
bool reap(pid_t program, int* status) {
  bool ended = false;
  for (;;) {
    int one = 0;
    const pid_t pid = waitpid(-1, &one, WNOHANG);
    if (pid <= 0) return ended;
    if (pid != program) continue;
    *status = one;
    ended = true;
  }
}

int attend(pid_t program, bool group, const sigset_t& set) {
  for (;;) {
    siginfo_t info;
    const int signal = sigwaitinfo(&set, &info);
    if (signal < 0) continue;
    if (signal == SIGCHLD) {
      int status = 0;
      if (reap(program, &status)) return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      continue;
    }
    if (signal != SIGTTIN && signal != SIGTTOU) kill(group ? -program : program, signal);
  }
}

}  // namespace

int main(int argc, char** argv) {
  bool group = false;
  int at = 1;
  for (; at < argc && argv[at][0] == '-'; ++at) {
    if (strcmp(argv[at], "--") == 0) {
      ++at;
      break;
    }
    if (strcmp(argv[at], "-g") == 0) group = true;
    if (strcmp(argv[at], "-s") == 0) prctl(PR_SET_CHILD_SUBREAPER, 1);
  }
  if (at >= argc) {
    fprintf(stderr, "usage: docker-init [-s] [-g] [--] PROGRAM [ARGUMENT...]\n");
    return 1;
  }
  const sigset_t set = all_but_own();
  sigset_t before;
  sigprocmask(SIG_BLOCK, &set, &before);
  const pid_t program = fork();
  if (program < 0) {
    perror("docker-init: fork");
    return 1;
  }
  if (program == 0) become(argv + at, before);
  return attend(program, group, set);
}

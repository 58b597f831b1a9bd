// The program's terminal and its first descriptors.
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "kernel/raw.hpp"
#include "runtime/child.hpp"
#include "runtime/child_path.hpp"

namespace bryo::runtime::child {
namespace {

namespace raw = kernel::raw;

constexpr unsigned kFirstPtySlave = 136;  // devices.txt: 136–143 char, Unix98 slaves
constexpr unsigned kLastPtySlave = 143;

int find_devpts(ChildContext& context) noexcept {
  if (context.devpts >= 0) return context.devpts;
  const int fd = context.link.check(open_path(context.root, "/dev/pts", Links::follow, O_DIRECTORY),
                                    {"find /dev/pts for the terminal"});
  struct statfs info = {};
  context.link.check(raw::fstatfs(fd, info), {"statfs /dev/pts"});
  if (info.f_type != DEVPTS_SUPER_MAGIC) context.link.fail(ENOTTY, {"open a terminal: /dev/pts is not a devpts"});
  return context.devpts = fd;
}

bool is_device(int fd, unsigned first_major, unsigned last_major, int minor) noexcept {
  struct stat info = {};
  return raw::fstat(fd, info) == 0 && S_ISCHR(info.st_mode) && major(info.st_rdev) >= first_major &&
         major(info.st_rdev) <= last_major && (minor < 0 || static_cast<int>(::minor(info.st_rdev)) == minor);
}

// The slave comes from the master by ioctl, never by its name (CVE-2025-52565).
int open_pair(ChildContext& context, int& slave) noexcept {
  const int devpts = find_devpts(context);
  const int master = context.link.check(
      raw::open_below(devpts, "ptmx", O_RDWR | O_NOCTTY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV),
      {"open /dev/pts/ptmx"});
  if (!is_device(master, 5, 5, 2)) context.link.fail(ENOTTY, {"open a terminal: /dev/pts/ptmx is another device"});
  const int unlocked = 0;
  context.link.check(static_cast<int>(raw::call(SYS_ioctl, master, TIOCSPTLCK, &unlocked)), {"unlock the terminal"});
  slave = context.link.check(static_cast<int>(raw::call(SYS_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)),
                             {"open the terminal's slave"});
  if (!is_device(slave, kFirstPtySlave, kLastPtySlave, -1))
    context.link.fail(ENOTTY, {"open a terminal: its slave is not a pty"});
  return master;
}

void bind_console_to(ChildContext& context, int slave) noexcept {
  const int target =
      context.link.check(make_path(context.root, "/dev/console", Links::refuse, false), {"make /dev/console"});
  const int clone =
      context.link.check(raw::open_tree(slave, "", OPEN_TREE_CLONE | AT_EMPTY_PATH), {"clone the terminal's node"});
  context.link.check(raw::attach(clone, target), {"mount the terminal on /dev/console"});
  raw::close(clone);
  raw::close(target);
}

// A descriptor of the host's /dev/null is a handle on an inode of the host (fchmod); the container's own serves as
// well.
int own_null_instead(ChildContext& context, int fd) noexcept {
  if (!is_device(fd, 1, 1, 3)) return fd;
  const int own = raw::open_below(context.root, "/dev/null", O_RDWR | O_NOCTTY, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
  if (own < 0) return fd;
  if (is_device(own, 1, 1, 3)) return own;
  raw::close(own);
  return fd;
}

int move_above(ChildContext& context, int fd, int lowest) noexcept {
  return fd < 0 ? -1 : context.link.check(raw::duplicate(fd, lowest), {"duplicate a descriptor"});
}

void place(ChildContext& context, int from, int to) noexcept {
  context.link.check(static_cast<int>(raw::call(SYS_dup3, from, to, 0)), {"place a descriptor"});
}

}  // namespace

void open_terminal(ChildContext& context, bool bind_console) noexcept {
  int slave = -1;
  const int master = open_pair(context, slave);
  const ProcessPlan& process = *context.process;
  if (process.rows != 0 || process.columns != 0) {
    struct winsize size = {};
    size.ws_row = process.rows;
    size.ws_col = process.columns;
    raw::call(SYS_ioctl, master, TIOCSWINSZ, &size);
  }
  // The group stays the devpts' own (tty). A user that the map lacks keeps root's terminal.
  raw::call(SYS_fchown, slave, process.uid, static_cast<gid_t>(-1));
  if (bind_console) bind_console_to(context, slave);
  context.link.send(ReportKind::terminal, 0, master);
  raw::close(master);
  context.terminal = slave;
}

void place_descriptors(ChildContext& context) noexcept {
  const int base = 3 + static_cast<int>(context.preserved.size());
  context.link.use(move_above(context, context.link.fd(), base));
  context.gate_listener = move_above(context, context.gate_listener, base);
  context.proc = move_above(context, context.proc, base);
  context.start_state = move_above(context, context.start_state, base);
  int stdio[3];
  for (int i = 0; i < 3; ++i) {
    const int from = context.terminal >= 0 ? context.terminal : own_null_instead(context, context.stdio[i]);
    stdio[i] = move_above(context, from, base);
  }
  for (int& fd : context.preserved) fd = move_above(context, fd, base);
  for (int i = 0; i < 3; ++i) place(context, stdio[i], i);
  for (std::size_t i = 0; i < context.preserved.size(); ++i)
    place(context, context.preserved[i], 3 + static_cast<int>(i));

  // In rising order: what close_all_but asks for.
  constexpr int kOwn = 4;
  int own[kOwn] = {context.link.fd(), context.gate_listener, context.proc, context.start_state};
  for (int i = 0; i < kOwn; ++i)
    for (int j = i + 1; j < kOwn; ++j)
      if (own[j] < own[i]) {
        const int swap = own[i];
        own[i] = own[j];
        own[j] = swap;
      }
  int next = base;
  for (const int fd : own) {
    if (fd < base) continue;
    if (fd > next) raw::close_range(static_cast<unsigned>(next), static_cast<unsigned>(fd) - 1, 0);
    next = fd + 1;
  }
  raw::close_range(static_cast<unsigned>(next), ~0U, 0);
  context.root = context.devpts = context.terminal = context.null_device = context.empty_directory = -1;
  if (context.process->terminal && context.init_pidfd < 0) take_terminal(context);
}

void take_terminal(ChildContext& context) noexcept {
  if (context.process->terminal)
    context.link.check(static_cast<int>(raw::call(SYS_ioctl, 0, TIOCSCTTY, 0)), {"make the terminal controlling"});
}

}  // namespace bryo::runtime::child

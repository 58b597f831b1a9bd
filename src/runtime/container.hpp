// Starts a container from a LaunchPlan, and further processes in it. For single-threaded programs only (bryo-monitor,
// bryo-oci): this is the one place of Bryo that clones.
//
//   launcher                                   child (pid 1 of the container)
//   begin():  clone3, maps, cgroups  ────────▶ waits
//             network_namespace() is there: somebody may set the network up from here on
//   wait_created(): sources, descriptors ────▶ mounts, root, terminal, sysctls, limits, credentials, seccomp
//             ◀──────── created | step, errno  waits at the gate
//   start():  gate ──────────────────────────▶ execve     (gate_open: wait_created() has said so already)
//             ◀──────── end of file | step, errno
//
// The caller stays the parent of the child: it reaps it (pidfd() or waitpid) after wait_created() has returned. When
// begin, wait_created or start throws, the child is killed and reaped already. Errors carry the step and the reason
// and, when the program cannot be run, Docker's text with exit_code() 126 or 127 (and the kind invalid_argument). The
// child's messages: child_report.hpp.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "runtime/launch_hooks.hpp"
#include "runtime/launch_plan.hpp"

namespace bryo::runtime {

// Borrowed. Without a terminal they become 0, 1 and 2 of the program; with one they are not used.
struct ChildStdio {
  int in = -1;
  int out = -1;
  int err = -1;
};

// Borrowed descriptors of cgroups that the caller has made (kernel/cgroups.hpp: open_procs, open_directory).
struct CgroupPlacement {
  std::vector<int> procs;  // v1 and hybrid: one a hierarchy, in which a process of one thread enters by writing "0"
  int directory = -1;      // v2
};

// Gets the listener of a filter with SCMP_ACT_NOTIFY and the number of the process that has the filter, before anything
// of the program has run; sends it to ProcessPlan::seccomp.listener_path. What it throws ends the start.
using ListenerHandler = std::function<void(UniqueFd listener, pid_t pid)>;

struct LaunchInputs {
  ChildStdio stdio;
  CgroupPlacement cgroup;
  // What the plan's `descriptor` members index.
  std::span<const int> descriptors;
  // 3 … 2+n of the program (LISTEN_FDS, --preserve-fds).
  std::span<const int> preserved;
  // A listening SOCK_SEQPACKET or SOCK_STREAM socket on which the child waits for open_gate() instead of start(): for
  // launchers that end between create and start. -1: start() opens the gate.
  int gate_listener = -1;
  // A network namespace that was made ahead, its loopback interface up: the child enters it where the plan says a new
  // one. Only for plans without a user namespace, which would have to own it. -1: the child makes its own.
  int network = -1;
  // What prepare_mounts() has made of the plan ahead; taken. Only for plans without a user namespace, which some of
  // them would need. nullptr or empty: they are made when the child wants them.
  std::vector<UniqueFd>* mounts = nullptr;
  // start() is going to follow wait_created() at once: the child does not wait for the launcher at the gate.
  bool gate_open = false;
  // Needed by plans whose filter notifies, unless the gate is elsewhere.
  ListenerHandler on_listener = {};
  // chroot instead of pivot_root: for a host whose root is its initramfs. The host's tree stays below the container's.
  bool no_pivot = false;
  // Borrowed; nullptr where nobody has hooks.
  const LaunchHooks* hooks = nullptr;
};

class Container {
 public:
  static Container begin(const LaunchPlan& plan, const LaunchInputs& inputs);
  // An object that has not reached wait_created() kills its child; one that was created but not started lets it end by
  // itself.
  ~Container();
  Container(Container&&) noexcept;
  Container& operator=(Container&&) noexcept;

  // As the launcher's pid namespace sees it.
  pid_t pid() const;
  // Owned by this object.
  int pidfd() const;
  // The child's network namespace; empty when it is the launcher's own.
  UniqueFd network_namespace() const;
  // Any namespace of the child (CLONE_NEW* name as in /proc/PID/ns: "net", "mnt", "user"…).
  UniqueFd open_namespace(Namespace kind) const;

  // Only with LaunchInputs::hooks: returns when everything is mounted; the host's hooks run now, and then
  // wait_created().
  void wait_mounted();
  // Returns when everything before the gate is done. The plan given to begin() must be alive until then.
  void wait_created();
  // What could not be done as asked: clamped limits, capabilities left out, optional mounts. Complete after
  // wait_created().
  const std::vector<std::string>& warnings() const;
  // Master end of the terminal, after wait_created(); empty without one, or when taken already.
  UniqueFd take_pty_master();
  // Opens the gate; returns when execve has succeeded.
  void start();

 private:
  struct State;
  explicit Container(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// For launchers with a gate_listener: `connected` is a connection to it. Returns when execve has succeeded; throws as
// start() does, but reaps nothing. The others: what a filter that notifies needs.
void open_gate(int connected, pid_t pid = -1, const ListenerHandler& on_listener = {});

struct ExecInputs {
  ChildStdio stdio;
  CgroupPlacement cgroup;
  std::span<const int> preserved;
  ListenerHandler on_listener = {};
};

class ExecProcess {
 public:
  // Runs the plan in the container whose init is `init_pidfd`; returns when execve has succeeded. The process is a
  // child of the caller, who reaps it.
  static ExecProcess start(const ExecPlan& plan, int init_pidfd, const ExecInputs& inputs);

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  UniqueFd take_pty_master() { return std::move(pty_master_); }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  ExecProcess() = default;
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  UniqueFd pty_master_;
  std::vector<std::string> warnings_;
};

}  // namespace bryo::runtime

// The code between clone() and execve(). Everything in child*.cpp runs in a copy of a single-threaded launcher, as root
// of the container's user namespace (or of the host's), and
//   - allocates nothing, throws nothing, takes no lock, calls no logger and none of the getpw family (style.md 9; a
//     check of the object files' symbols proves it);
//   - reaches the host only through what ChildContext holds;
//   - tells the launcher of every failure and ends (child_link.hpp).
// The launcher fills a ChildContext before it clones; the child may write to its own copy.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>

#include "runtime/child_link.hpp"
#include "runtime/launch_plan.hpp"

namespace bryo::runtime::child {

struct NamespaceToJoin {
  int fd = -1;
  int flag = 0;
};

struct HookToRun {
  const char* path = nullptr;
  char* const* arguments = nullptr;
  char* const* environment = nullptr;
  int timeout = -1;  // seconds; -1 = none
};

struct ChildContext {
  const ProcessPlan* process = nullptr;
  LauncherLink link{-1};

  // Descriptors of the launcher. `keep` lists all that the child may hold, in rising order; the rest is closed first.
  std::span<const int> keep;
  int stdio[3] = {-1, -1, -1};
  std::span<int> preserved;
  std::span<const int> cgroup_procs;
  int gate_listener = -1;

  // The program, ready for execve. `candidates`: what PATH makes of the name; empty when the name has a slash.
  char* const* arguments = nullptr;
  char* const* environment = nullptr;
  std::span<const char* const> candidates;

  // Hard limits were raised by the launcher before; these are set at the end.
  std::span<const ResourceLimit> limits;
  // --- launch only ---
  const LaunchPlan* plan = nullptr;
  // Room for the descriptors of the prepared mounts: [0] the root file system, [1+n] source n.
  std::span<int> mounts;
  // Room for what is made before its step comes, one a step (make_filesystem_early); -1 = nothing.
  std::span<int> filesystems;
  // Become uid and gid 0 of the user namespace (it maps 0).
  bool become_root = false;
  // May call setgroups (false in a user namespace that denies it).
  bool may_set_groups = true;
  // Hooks in the container's namespaces, and the files with the state that they read.
  std::span<const HookToRun> create_hooks;
  std::span<const HookToRun> start_hooks;
  int create_state = -1;
  int start_state = -1;
  // Stop when everything is mounted: hooks of the launcher's come first.
  bool pause_for_hooks = false;
  // Where the root is attached for them; nullptr = over "/". Before that, `cover` (-1 = nothing) over cover_path.
  const char* root_path = nullptr;
  const char* cover_path = nullptr;
  int cover = -1;
  bool root_must_show = false;
  bool no_pivot = false;
  // The new network namespace, where the launcher has made it; -1 = clone() did.
  int network = -1;
  // CLONE_* made by unshare once the child is in its cgroups.
  int late_namespaces = 0;

  // --- helper stage: joins namespaces, then clones the child as a sibling of itself ---
  std::span<const NamespaceToJoin> joins;
  unsigned long clone_flags = 0;

  // --- exec only ---
  int init_pidfd = -1;
  int join_flags = 0;

  // --- the child's own state ---
  int root = -1;                  // the container's root
  int proc = -1;                  // a procfs of the container's pid namespace that only we made; -1 when there is none
  int devpts = -1;                // the devpts mounted by a step
  int null_device = -1;           // the mount of the first masked file
  int empty_directory = -1;       // the tmpfs of the first masked directory
  int terminal = -1;              // slave end
  std::size_t step = 0;           // of plan->steps, the one that is executed
  const char* program = nullptr;  // what execve gets
};

// pid 1 of the container.
[[noreturn]] void run_container(ChildContext& context) noexcept;
// The helper stage before it, where namespaces are joined.
[[noreturn]] void run_joining_stage(ChildContext& context) noexcept;
// A further process: joins the container's namespaces, gives up rights, and clones the process itself, which is born
// with the rights of a container process and nothing of the host's (CVE-2016-9962).
[[noreturn]] void run_exec_stage(ChildContext& context) noexcept;

// --- parts, in the files of the same names ---

// child_start.cpp
void begin_child(ChildContext& context) noexcept;
void enter_cgroups(ChildContext& context) noexcept;
void close_all_but(std::span<const int> sorted) noexcept;

// child_steps.cpp
// The plan's steps in its order, but for those that need no mount: these come first.
void run_early_steps(ChildContext& context) noexcept;
void run_steps(ChildContext& context) noexcept;

// child_mounts.cpp
void attach_root(ChildContext& context) noexcept;
void enter_root(ChildContext& context, const EnterRoot& step) noexcept;
void attach_source(ChildContext& context, const AttachSource& step) noexcept;
// The larger part of it: the file system without its mount. Mounts are listed in the order in which they were made.
void make_filesystem_early(ChildContext& context, const MountFilesystem& step) noexcept;
void mount_filesystem(ChildContext& context, const MountFilesystem& step) noexcept;
void change_mount(ChildContext& context, const ChangeMount& step) noexcept;
void root_read_only(ChildContext& context) noexcept;

// child_copy.cpp
// Everything in the directory `target` into the mount that will cover it; `path` is for messages.
void copy_up(ChildContext& context, int target, int mount, const char* path) noexcept;

// child_hooks.cpp
void run_create_hooks(ChildContext& context) noexcept;
void run_start_hooks(ChildContext& context) noexcept;

// child_masks.cpp
void mask_path(ChildContext& context, const MaskPath& step) noexcept;
void read_only_path(ChildContext& context, const ReadOnlyPath& step) noexcept;

// child_files.cpp
void make_link(ChildContext& context, const MakeLink& step) noexcept;
void make_node(ChildContext& context, const MakeNode& step) noexcept;
// Writes below the private procfs; no link, no other mount is crossed (CVE-2025-52881).
int write_proc(ChildContext& context, const char* path, const char* text, std::size_t size) noexcept;
// The same for a file of our own /proc/<pid>.
int write_own_proc(ChildContext& context, const char* file, const char* text, std::size_t size) noexcept;
int private_proc(ChildContext& context) noexcept;

// child_terminal.cpp
void open_terminal(ChildContext& context, bool bind_console) noexcept;
// 0, 1, 2 and the preserved ones; all others but our own are closed.
void place_descriptors(ChildContext& context) noexcept;
// Makes descriptor 0 the controlling terminal of the session.
void take_terminal(ChildContext& context) noexcept;

// child_credentials.cpp
void prepare_process(ChildContext& context) noexcept;
void give_up_rights(ChildContext& context) noexcept;
// For an exec: while we still have the host's rights.
void raise_own_limits(ChildContext& context) noexcept;
// Before the process of an exec is born: no more than the program will have, and what loading its filter takes.
void narrow_rights(ChildContext& context) noexcept;
void final_rights(ChildContext& context) noexcept;

// child_exec.cpp
// As Docker's clients read it: "no such file or directory".
const char* reason_of(int error) noexcept;
// 127 when something is missing, 126 when it cannot be used.
unsigned exit_code_of(int error) noexcept;
void find_program(ChildContext& context) noexcept;
[[noreturn]] void execute(ChildContext& context) noexcept;

}  // namespace bryo::runtime::child

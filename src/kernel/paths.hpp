// Which file does a name inside a tree that somebody hostile can write stand for? (design/security.md D1)
//
// A RootDirectory owns a descriptor of the tree's top. Every look-up is one openat2(2) below it and gives a descriptor;
// what follows is done on descriptors (kernel/files.hpp), never on a second look-up of the name (CVE-2018-15664).
// Where openat2 is missing (ENOSYS, or EPERM from a filter) the name is walked one component at a time with
// O_PATH|O_NOFOLLOW, with the same answers.
//
//   Scope::in_root   links are followed as a process chrooted into the tree would: an absolute link starts at the top,
//                    ".." stops there. For root file systems of containers (`/var/run -> /run` must work).
//   Scope::beneath   no link is followed at all, ".." and absolute names are refused. For the engine's own trees.
//
// Names are made safe first: NUL is refused; trailing slashes are cut and remembered, because O_NOFOLLOW is void on
// "link/" (CVE-2026-39822). Magic links (/proc/PID/fd) are never followed. A rename during the look-up (EAGAIN) is
// retried a bounded number of times, then refused with Error{unavailable}. All functions may be called from any thread.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

enum class Scope { in_root, beneath };

struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
};

class RootDirectory {
 public:
  // Takes a directory that is already open (O_PATH is enough).
  explicit RootDirectory(UniqueFd directory, Scope scope = Scope::in_root);
  // `path` is trusted: it comes from the engine itself.
  static RootDirectory open(const std::string& path, Scope scope = Scope::in_root);

  int fd() const { return directory_.get(); }
  Scope scope() const { return scope_; }
  RootDirectory duplicate() const;
  // A directory of this tree as a tree of its own: links in it cannot climb above it.
  RootDirectory descend(std::string_view path) const;

  // Opens `path`. The last component's link is followed unless O_NOFOLLOW is in flags (with O_PATH the link itself is
  // then what is opened). O_CLOEXEC is always added; O_NONBLOCK too when reading, so that a FIFO cannot hold us.
  UniqueFd resolve(std::string_view path, int flags = O_PATH, mode_t mode = 0) const;
  // nullopt for ENOENT and ENOTDIR.
  std::optional<UniqueFd> try_resolve(std::string_view path, int flags = O_PATH, mode_t mode = 0) const;

  // Where to create, rename or unlink. `name` is one component, never empty, never "..", without slashes; it is "."
  // when the path means a directory itself ("/", "a/.", "a/.."), which is then `directory`.
  struct Parent {
    UniqueFd directory;
    std::string name;
    bool must_be_directory = false;  // the path ended in "/" or "/."
  };
  Parent resolve_parent(std::string_view path) const;

  // mkdir -p: existing components are followed by this tree's rules, missing ones are made with `mode` (exactly: the
  // umask is undone) and `owner`. Returns the last one.
  UniqueFd make_directories(std::string_view path, mode_t mode = 0755, std::optional<Owner> owner = {}) const;

  // Path of a descriptor below this tree, for messages and X-Docker-Container-Path-Stat: what the kernel shows, cut by
  // the tree's own path. Never to be used for another look-up.
  std::string name_of(int fd) const;

 private:
  UniqueFd open_within(std::string_view path, int flags, mode_t mode) const;
  UniqueFd directory_;
  Scope scope_;
};

// How the names of this process are resolved; the walk is forced in tests.
enum class Resolver { automatic, openat2, walk };
UniqueFd open_below(int directory, const std::string& path, int flags, mode_t mode, Scope scope,
                    Resolver resolver = Resolver::automatic);

// Removes `name` in `parent` and everything below it, by descriptors: links are removed, not followed, and a mount is
// never entered (CVE-2017-1002102): Error{conflict} naming the mount, with all else that can go gone. A missing name is
// fine. Deep trees need no deep stack.
// `stop`, when given, ends it between two names: Error{cancelled}.
void remove_tree(int parent, const std::string& name, const std::atomic<bool>* stop = nullptr);

// Splits "a//b/./c" into its components; "." and empty ones are dropped, ".." is kept.
bool is_plain_name(std::string_view name);  // one component: not empty, ".", "..", no '/', no NUL, at most 255 bytes

}  // namespace bryo::kernel

// What the doctor asks a host: the narrow seam that tests replace. Nothing here judges; checks.hpp does.
//
// Files are read as they are, and attempts really do the thing, in a child process where it leaves traces. For one
// thread. Attempts are made once and remembered.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ids/accounts.hpp"
#include "ids/subordinate.hpp"
#include "rootless/user_namespace.hpp"

namespace bryo::rootless::doctor {

enum class Attempt {
  user_namespace,    // one with the caller's own id only
  mapped_namespace,  // one with all subordinate ids, by newuidmap and newgidmap, as bryod makes it
  tap_device,        // this and the following: in new mount and network namespaces of the namespace above
  bridge,
  nftables,
  transparent_socket,
  overlay,           // at data_root(), as bryod mounts it for this caller
  idmapped_overlay,  // root of the machine only: with lower layers id-mapped
  seccomp_notify,
  system_calls,
  ping_socket,  // in the caller's own network
};

struct Outcome {
  bool worked = false;
  int number = 0;       // errno
  std::string message;  // what was tried and what the kernel said
};

struct FileFacts {
  mode_t mode = 0;  // type and permissions
  uid_t uid = 0;
  bool file_capabilities = false;  // security.capability
};

// Of the path, or of the nearest directory above it that is there.
struct FilesystemFacts {
  std::string directory;
  std::string type;  // as mountinfo says: "ext4", "nfs4", "fuse.sshfs"
  bool nosuid = false, noexec = false, nodev = false, read_only = false;
  std::uint64_t free_bytes = 0, free_inodes = 0;
  bool counts_inodes = false;
};

struct SubordinateFacts {
  std::vector<ids::SubRange> ranges;
  std::vector<ids::OwnedRange> overlaps;  // lines of others
  std::uint32_t free_start = 0;           // where a line of 65536 ids would have room
  std::string problem;                    // why nothing is known: a malformed line, no libsubid
};

struct SocketOwner {
  pid_t pid = 0;
  std::string program;  // "bryod", "dockerd" …; empty when it cannot be seen
};

class Host {
 public:
  virtual ~Host() = default;
  virtual Standing standing() const = 0;
  virtual const ids::User& user() const = 0;
  virtual std::string home() const = 0;
  // Where bryod would keep images, and where its sockets lie: its defaults, or what the command line said.
  virtual std::string data_root() const = 0;
  // The directory of Bryo's programs.
  virtual std::string program_directory() const = 0;
  virtual std::string variable(const std::string& name) const = 0;
  // A small file; nullopt when it is not there or cannot be read.
  virtual std::optional<std::string> text(const std::string& path) const = 0;
  virtual std::optional<FileFacts> file(const std::string& path) const = 0;
  // Where the caller may write. False when it is not there either.
  virtual bool writable(const std::string& path) const = 0;
  virtual FilesystemFacts filesystem(const std::string& path) const = 0;
  // In the directories that bryod looks in; nullopt when it is not installed.
  virtual std::optional<std::string> find_program(const std::string& name) const = 0;
  virtual SubordinateFacts subordinate(ids::IdKind kind, const ids::User& user) const = 0;
  virtual std::optional<ids::User> account(const std::string& name) const = 0;
  // Who listens on a unix socket; nullopt: nobody.
  virtual std::optional<SocketOwner> socket_owner(const std::string& path) const = 0;
  virtual std::string kernel_release() const = 0;
  virtual const Outcome& attempt(Attempt what) const = 0;
};

}  // namespace bryo::rootless::doctor

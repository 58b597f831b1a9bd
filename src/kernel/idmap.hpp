// How does a mount show other owners than its disk has? (mount_setattr(2), "ID-mapped mounts")
//
// The kernel wants a user namespace that carries the maps: a short-lived child makes it and is gone when the descriptor
// is here. UserNamespaces keeps the last ones that were asked for; it may be used from any thread. Maps are the text of
// /proc/PID/uid_map ("0 165536 65536\n").
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

// A user namespace with these maps and no process in it.
UniqueFd make_user_namespace(const std::string& uid_map, const std::string& gid_map);

// The maps of a user namespace of somebody else's, as this process' own namespace counts: the texts of uid_map and
// gid_map. A short-lived child joins it. For single-threaded programs; needs the rights to join.
struct UserNamespaceMaps {
  std::string uid;
  std::string gid;
};
UserNamespaceMaps read_user_namespace(int user_namespace);

class UserNamespaces {
 public:
  std::shared_ptr<const UniqueFd> get(const std::string& uid_map, const std::string& gid_map);

 private:
  static constexpr std::size_t kMost = 64;
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<const UniqueFd>> cache_;  // guarded by mutex_
};

// A detached mount of what `path` below `directory` stands for ("" = directory itself); nothing is attached anywhere.
UniqueFd clone_tree(int directory, const std::string& path, bool recursive);
// Turns a detached mount that nobody else has into an idmapped one. Error{unsupported} where kernel or file system
// cannot (before 5.12; overlay, NFS …).
void idmap_mount(int mount, int user_namespace, bool recursive = false);
void make_mount_read_only(int mount, bool recursive = false);

}  // namespace bryo::kernel

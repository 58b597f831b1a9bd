// rootlesskit's state directory: child_pid (for nsenter), lock (one bryo-rootless at a time), api.sock, and the
// user-mode network's own directory. Removed at the end; what others put there stays, and then so does it.
#pragma once

#include <sys/types.h>

#include <initializer_list>
#include <string>

#include "base/unique_fd.hpp"

namespace bryo::rootless::command {

class StateDirectory {
 public:
  // `path` is made when it is not there (mode 0700); empty: a new one below /tmp. Error{conflict} when another
  // bryo-rootless has it, Error{permission} when it is another user's.
  explicit StateDirectory(const std::string& path);

  const std::string& path() const { return path_; }  // absolute
  std::string api_socket() const { return path_ + "/api.sock"; }
  std::string network_directory() const { return path_ + "/network"; }
  std::string resolv_conf() const { return path_ + "/resolv.conf"; }
  std::string kept_netns() const { return path_ + "/netns"; }

  void write_child_pid(pid_t pid) const;
  void write_resolv_conf(const std::string& text) const;
  // By descriptors that were opened at the start: works in any mount namespace.
  void remove() const noexcept;

 private:
  void remove_files(std::initializer_list<const char*> names) const;

  std::string path_;
  std::string name_;
  UniqueFd parent_;
  UniqueFd directory_;
  UniqueFd lock_;
};

}  // namespace bryo::rootless::command

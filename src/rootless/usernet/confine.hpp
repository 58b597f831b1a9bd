// What is taken from the process that parses the namespace's frames: it keeps the tap, its sockets, and one file.
#pragma once

#include <string>

#include "base/unique_fd.hpp"

namespace bryo::rootless::usernet {

// A file system with /etc/resolv.conf and nothing else. The supervisor keeps it and replaces the file.
class EmptyRoot {
 public:
  EmptyRoot();
  void put_resolver_file(const std::string& text) const;
  int mount() const { return mount_.get(); }
  void close();

 private:
  UniqueFd mount_, etc_;
};

// In this order: EmptyRoot as "/", resource limits, undumpable, no capabilities, no_new_privs, the list of system
// calls. Of `root` no descriptor is left.
void confine(EmptyRoot root);

// The last step of it: seccomp(2). Calls that an exploit begins with end the process, others that are not on the list
// fail with EPERM.
void allow_only_needed_system_calls();

}  // namespace bryo::rootless::usernet

// Network namespaces: visit one with the calling thread, name one, and set its sysctls.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

// The namespace of the calling thread.
UniqueFd open_own_netns();
// The namespace of a process; throws not_found when it is gone. A pid may have been given to another process meanwhile:
// check with a pidfd where that matters.
UniqueFd open_netns_of(pid_t pid);
// A new namespace with nobody in it; the calling thread stays where it is.
UniqueFd make_netns();
// Whether two descriptors name one namespace.
bool same_netns(int a, int b);

// The calling thread is inside the namespace as long as this object lives, and back where it was afterwards. Sockets
// opened meanwhile stay in it. Must be destroyed by the thread that made it. When there is no way back the process is
// aborted: a pool thread in a container's namespace would serve strangers.
class NetnsVisit {
 public:
  explicit NetnsVisit(int netns_fd);
  ~NetnsVisit();
  NetnsVisit(const NetnsVisit&) = delete;
  NetnsVisit& operator=(const NetnsVisit&) = delete;

 private:
  UniqueFd home_;
};

// /proc/sys/net/<name> of the calling thread's network namespace ("ipv4/ip_forward"). get returns "" and set returns
// false when the kernel has no such setting; other failures throw. One write(2), no line break added.
std::string get_net_sysctl(const std::string& name);
bool set_net_sysctl(const std::string& name, std::string_view value);

}  // namespace bryo::kernel

// Network namespaces: visit one with the calling thread, name one, and set its sysctls.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

// The namespace of the calling thread.
UniqueFd open_own_netns();
// The namespace of a process; throws not_found when it is gone. A pid may have been given to another process meanwhile:
// check with a pidfd where that matters.
UniqueFd open_netns_of(pid_t pid);
// A new namespace with nobody in it; the calling thread stays where it is.
UniqueFd make_netns();
// A new one, and the calling thread is in it: for processes that never go back.
void enter_new_netns();
// The namespace that is kept at this file (a mount of it, as `ip netns` keeps them), or a new one that is kept there
// from now on. The calling thread is in it afterwards. The mount is seen in the caller's mount namespace only as far as
// its propagation goes.
UniqueFd enter_kept_netns(const std::string& file);
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

// The errand is done inside the namespace, by a thread of its own: for those who could not come back (a thread in a
// namespace of a parent user namespace). Returns when it is done; what it throws is thrown here.
void run_in_netns(int netns_fd, const std::function<void()>& errand);

// A thread that stays for ever in the network namespace of whoever made it, and does errands there: sockets that it
// opens, and processes and threads that it starts, belong to that namespace. For a process whose other threads have
// moved into a namespace without a way back (setns(2) into a namespace of a parent user namespace is refused).
class NetnsThread {
 public:
  NetnsThread();
  // Waits for the errand that is under way.
  ~NetnsThread();
  NetnsThread(const NetnsThread&) = delete;
  NetnsThread& operator=(const NetnsThread&) = delete;

  // Returns when `errand` has; what it throws is thrown here. Any thread but this one; one errand at a time.
  void run(const std::function<void()>& errand);
  // The same on a new thread of that namespace: for errands that take long. Any number at once.
  void run_beside(const std::function<void()>& errand);

 private:
  void serve();

  std::mutex callers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* errand_ = nullptr;
  std::exception_ptr failure_;
  bool stopping_ = false;
  std::thread thread_;
};

// /proc/sys/net/<name> of the calling thread's network namespace ("ipv4/ip_forward"). get returns "" and set returns
// false when the kernel has no such setting; other failures throw. One write(2), no line break added.
std::string get_net_sysctl(const std::string& name);
bool set_net_sysctl(const std::string& name, std::string_view value);

}  // namespace bryo::kernel

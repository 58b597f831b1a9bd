// System calls that a seccomp filter holds back for somebody else to answer (seccomp_unotify(2)), and the little that
// may be asked of the thread that made one. Linux 5.14. What a function answers may be about a stranger when the thread
// has ended meanwhile and its number was given out again: ask alive() before it counts. Any thread, one at a time.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

struct HeldCall {
  std::uint64_t id = 0;
  pid_t thread = 0;        // as our pid namespace sees it; 0: invisible from here
  std::uint32_t arch = 0;  // AUDIT_ARCH_*
  int number = 0;
  std::array<std::uint64_t, 6> arguments{};
};

// A held call as the kernel writes it down (struct seccomp_notif). It may lie in memory that outlives the process which
// receives it: the kernel counts a call as received only when it has been written there.
struct alignas(8) HeldRecord {
  std::array<std::byte, 80> bytes{};
};
HeldCall read_held(const HeldRecord& record);

class SeccompListener {
 public:
  explicit SeccompListener(UniqueFd fd);

  int get() const { return fd_.get(); }
  // The next call; waits for one. nullopt: who made it has gone.
  std::optional<HeldCall> receive(HeldRecord& into);
  // Whether this call still waits for its answer.
  bool alive(const HeldCall& call) const;
  // The answers. Whoever has been killed meanwhile needs none: that is no error.
  void let_through(const HeldCall& call) const;
  void answer(const HeldCall& call, std::int64_t value) const { reply(call, value, 0, 0); }
  void refuse(const HeldCall& call, int error) const { reply(call, 0, -error, 0); }
  // Puts a copy of `source` in the place of the caller's descriptor `number`; the call goes on waiting. false: the
  // caller has gone, or may have no such number.
  bool replace(const HeldCall& call, int source, int number, bool close_on_exec) const;

 private:
  void reply(const HeldCall& call, std::int64_t value, int error, std::uint32_t flags) const;
  UniqueFd fd_;
};

// A pidfd of one thread; before Linux 6.9 of its process, whose descriptors are the same unless a thread of it has
// called unshare(CLONE_FILES). Empty when it has gone.
UniqueFd open_thread(pid_t thread);
// A copy of another process's descriptor. Empty when it has none of this number; `gone` is set when the process ended.
UniqueFd copy_descriptor_of(int pidfd, int number, bool& gone);
// Reads once; false when not all of it can be read.
bool read_memory_of(pid_t thread, std::uint64_t address, std::span<std::byte> into);
// Where the kernel tells about a thread's descriptors (proc_pid_fdinfo(5)). Empty when it has gone.
UniqueFd open_descriptor_facts(pid_t thread);
// The O_ flags of one of them, O_CLOEXEC among them; nullopt when there is none, or the thread has gone.
std::optional<int> descriptor_flags(int facts, int number);
// The numbers of its epoll(7) descriptors.
std::vector<int> epoll_descriptors_of(pid_t thread);

enum class EpollAnswer { registered, not_registered, no_epoll };
// Whether `epoll` of this thread watches its descriptor `number` (kcmp(2)). no_epoll: that descriptor is something else
// by now, or the kernel cannot say.
EpollAnswer epoll_watches(pid_t thread, int epoll, int number);

// The network namespace that a socket belongs to, as a number (SO_NETNS_COOKIE, Linux 5.14); 0 when it is no socket.
std::uint64_t network_of_socket(int socket);
// What no other socket of this machine has or had (SO_COOKIE); 0 when it is no socket.
std::uint64_t cookie_of_socket(int socket);

}  // namespace bryo::kernel

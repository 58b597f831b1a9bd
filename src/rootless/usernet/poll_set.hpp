// The descriptors that libslirp wants to hear of, as an epoll(7) set that changes only where its wishes do: it names
// all of them before every wait (slirp_pollfds_fill), and with a thousand connections a poll(2) would hand all of them
// to the kernel every time.
#pragma once

#include <cstdint>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::rootless::usernet {

class PollSet {
 public:
  PollSet();
  // Before a wait: begin, want for each, then wait. `events` are EPOLLIN …; level-triggered.
  void begin() { ++round_; }
  void want(int fd, std::uint32_t events);
  // Forgets those that were not named since begin(). milliseconds -1: for ever.
  void wait(int milliseconds);
  // What wait() saw; 0 for nothing.
  std::uint32_t seen(int fd) const;
  // About to be closed; its number may come back as another.
  void forget(int fd);
  std::size_t size() const { return wanted_.size(); }

 private:
  struct Entry {
    std::uint32_t registered = 0;
    std::uint32_t seen = 0;
    std::uint64_t round = 0;
    bool listed = false;
  };
  Entry& entry(int fd);
  void drop_unwanted();

  UniqueFd epoll_;
  std::uint64_t round_ = 0;
  std::vector<Entry> entries_;  // by descriptor
  std::vector<int> wanted_, woken_;
};

}  // namespace bryo::rootless::usernet

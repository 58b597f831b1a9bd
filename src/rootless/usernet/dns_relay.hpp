// Questions of the namespace for the name server (UDP, port 53 of 10.0.2.3 and its IPv6 twin) go to the host's name
// servers, of either family, one after the other until one answers; the one that did is asked first from then on.
// libslirp would ask the first of a family only. Which they are is read from /etc/resolv.conf for every question: the
// supervisor keeps it true. Single-threaded; questions over TCP are libslirp's.
#pragma once

#include <cstdint>
#include <list>
#include <vector>

#include "base/unique_fd.hpp"
#include "rootless/usernet/frame_filter.hpp"
#include "rootless/usernet/offload.hpp"
#include "rootless/usernet/poll_set.hpp"
#include "rootless/usernet/resolver_file.hpp"

namespace bryo::rootless::usernet {

class DnsRelay {
 public:
  static constexpr std::int64_t kPatience = 1500;  // ms for each server; the C library asks again after 5 s
  static constexpr std::size_t kMostQuestions = 256;

  DnsRelay(const UserNetworkAddresses& addresses, PollSet& poll, TapWriter& writer);

  // A frame that the filter lets through; false when it is no such question. `now` in ms.
  bool take(Frame frame, std::int64_t now);
  // Before a wait: names its sockets to the poll set.
  void want();
  // ms until a server has had its time; -1 when none is asked.
  int patience(std::int64_t now) const;
  // After a wait.
  void serve(std::int64_t now);

 private:
  struct Question {
    std::vector<std::uint8_t> frame;  // as it was asked
    UniqueFd socket;
    std::vector<NameServer> servers;  // that are left
    NameServer asked;
    std::int64_t deadline = 0;
  };
  // False when no server is left.
  bool ask_next(Question& question, std::int64_t now);
  // Whether the question is done with.
  bool read_answer(Question& question);
  void close(Question& question);

  std::array<std::uint8_t, 16> dns_, dns6_;
  PollSet& poll_;
  TapWriter& writer_;
  std::list<Question> questions_;  // oldest first
  NameServer preferred_;
};

}  // namespace bryo::rootless::usernet

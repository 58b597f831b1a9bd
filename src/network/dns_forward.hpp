// Sends a query to the upstream servers, one after the other, from the container's own network namespace, and gives
// back the first useful answer. Event loop thread only. Bounded: so many queries at once for a container and in all, a
// time-out for each server, three servers at most, one packet out for one packet in.
#pragma once

#include <functional>
#include <memory>
#include <random>

#include "network/dns_message.hpp"
#include "network/dns_names.hpp"
#include "network/dns_session.hpp"
#include "network/event_loop.hpp"
#include "network/host_resolvers.hpp"

namespace bryo::network {

class DnsForward {
 public:
  enum class Transport { udp, tcp };
  using Done = std::function<void(DnsBytes answer)>;

  DnsForward(EventLoop& loop, const DnsNames& names, const HostResolvers& resolvers);
  // Calls `done` exactly once (perhaps before it returns), unless the session ends first. The answer carries the
  // query's id; it is SERVFAIL when nobody answers, or nobody may be asked: a container whose networks are all internal
  // (CVE-2024-29018).
  void start(Transport transport, std::shared_ptr<DnsSession> session, DnsQuery query, DnsBytes message, Done done);

 private:
  struct Attempt;
  void next_server(const std::shared_ptr<Attempt>& attempt);
  void ask(const std::shared_ptr<Attempt>& attempt, const DnsUpstream& upstream);
  void on_udp(const std::shared_ptr<Attempt>& attempt);
  void on_tcp(const std::shared_ptr<Attempt>& attempt, std::uint32_t events);
  void on_answer(const std::shared_ptr<Attempt>& attempt, DnsBytes answer);
  void drop_socket(Attempt& attempt);
  void finish(const std::shared_ptr<Attempt>& attempt, DnsBytes answer);

  EventLoop& loop_;
  const DnsNames& names_;
  const HostResolvers& resolvers_;
  std::random_device random_;
  std::size_t forwarding_ = 0;
};

}  // namespace bryo::network

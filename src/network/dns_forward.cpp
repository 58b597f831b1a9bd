#include "network/dns_forward.hpp"

#include <sys/epoll.h>

#include <array>

#include "base/error.hpp"
#include "base/log.hpp"
#include "kernel/netns.hpp"
#include "kernel/sockets.hpp"

namespace bryo::network {
namespace {

constexpr std::size_t kMostOfContainer = 256;
constexpr std::size_t kMostInAll = 4096;
constexpr std::uint16_t kDnsPort = 53;
constexpr auto kServerTimeout = std::chrono::seconds(2);
constexpr auto kLastServerTimeout = std::chrono::seconds(4);

// SERVFAIL and REFUSED: another server may know better.
bool is_unhelpful(const DnsBytes& answer) {
  const unsigned code = answer.size() > 3 ? answer[3] & 0x0fU : 2U;
  return code == 2 || code == 5;
}

}  // namespace

struct DnsForward::Attempt {
  Attempt(std::shared_ptr<DnsSession> for_session, std::size_t& in_all)
      : session(std::move(for_session)), forwarding(in_all) {
    ++session->forwarding;
    ++forwarding;
  }
  ~Attempt() {
    --session->forwarding;
    --forwarding;
  }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  Transport transport = Transport::udp;
  std::shared_ptr<DnsSession> session;
  std::size_t& forwarding;
  DnsQuery query;
  DnsBytes message;
  Done done;
  std::vector<DnsUpstream> upstreams;
  std::size_t next = 0;
  std::uint16_t id = 0;  // a fresh one for each server
  EventLoop::Token token = 0;
  DnsBytes unhelpful;  // the best that we have
  DnsBytes stream;     // TCP: what is still to send, then what came
  bool sending = true;
};

DnsForward::DnsForward(EventLoop& loop, const DnsNames& names, const HostResolvers& resolvers)
    : loop_(loop), names_(names), resolvers_(resolvers) {}

void DnsForward::start(Transport transport, std::shared_ptr<DnsSession> session, DnsQuery query, DnsBytes message,
                       Done done) {
  const bool allowed = session->forwarding < kMostOfContainer && forwarding_ < kMostInAll &&
                       names_.leads_out(session->container_id);  // CVE-2024-29018
  auto attempt = std::make_shared<Attempt>(std::move(session), forwarding_);
  attempt->transport = transport;
  if (allowed) attempt->upstreams = resolvers_.upstreams(attempt->session->servers);
  attempt->query = std::move(query);
  attempt->message = std::move(message);
  attempt->done = std::move(done);
  next_server(attempt);
}

void DnsForward::next_server(const std::shared_ptr<Attempt>& attempt) {
  drop_socket(*attempt);
  while (attempt->next < attempt->upstreams.size()) {
    const DnsUpstream upstream = attempt->upstreams[attempt->next++];
    try {
      ask(attempt, upstream);
      return;
    } catch (const Error& error) {  // no route, no descriptor: the next one
      log::debug("DNS query to {}: {}", upstream.address.str(), error.message());
    }
  }
  finish(attempt, attempt->unhelpful.empty() ? dns_empty(attempt->query, DnsCode::server_failure)
                                             : std::move(attempt->unhelpful));
}

void DnsForward::ask(const std::shared_ptr<Attempt>& attempt, const DnsUpstream& upstream) {
  const auto open = [&] {
    return attempt->transport == Transport::udp ? kernel::connect_udp(upstream.address, kDnsPort)
                                                : kernel::start_connect_tcp(upstream.address, kDnsPort);
  };
  UniqueFd socket;
  if (upstream.from_host) {
    socket = open();
  } else {
    const kernel::NetnsVisit visit(attempt->session->netns.get());
    socket = open();
  }
  attempt->id = static_cast<std::uint16_t>(random_());
  dns_set_id(attempt->message, attempt->id);
  const bool udp = attempt->transport == Transport::udp;
  if (udp) {
    kernel::send_some(socket.get(), attempt->message.data(), attempt->message.size());
  } else {
    const std::size_t size = attempt->message.size();
    attempt->stream = {static_cast<std::uint8_t>(size >> 8), static_cast<std::uint8_t>(size & 0xff)};
    attempt->stream.insert(attempt->stream.end(), attempt->message.begin(), attempt->message.end());
    attempt->sending = true;
  }
  attempt->token = loop_.watch(std::move(socket), udp ? EPOLLIN : EPOLLOUT, [this, attempt](std::uint32_t events) {
    try {
      if (events == 0)
        next_server(attempt);
      else if (attempt->transport == Transport::udp)
        on_udp(attempt);
      else
        on_tcp(attempt, events);
    } catch (const Error&) {  // refused, reset, unreachable
      next_server(attempt);
    }
  });
  attempt->session->owned.insert(attempt->token);
  const bool last = attempt->next == attempt->upstreams.size();
  loop_.set_deadline(attempt->token, EventLoop::Clock::now() + (last ? kLastServerTimeout : kServerTimeout));
}

void DnsForward::on_udp(const std::shared_ptr<Attempt>& attempt) {
  std::array<std::uint8_t, 65535> buffer;
  const auto size = kernel::receive_some(loop_.descriptor(attempt->token), buffer.data(), buffer.size());
  if (!size) return;
  const std::span<const std::uint8_t> message(buffer.data(), *size);
  if (!dns_answers(message, attempt->id, attempt->query)) return;  // forged or late: wait for the real one
  on_answer(attempt, DnsBytes(message.begin(), message.end()));
}

void DnsForward::on_tcp(const std::shared_ptr<Attempt>& attempt, std::uint32_t events) {
  const int fd = loop_.descriptor(attempt->token);
  DnsBytes& stream = attempt->stream;
  if (attempt->sending) {
    kernel::finish_connect(fd);
    const std::size_t sent = kernel::send_some(fd, stream.data(), stream.size()).value_or(0);
    stream.erase(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(sent));
    if (!stream.empty()) return;
    attempt->sending = false;
    loop_.change_events(attempt->token, EPOLLIN);
    return;
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  std::array<std::uint8_t, 16384> buffer;
  const auto size = kernel::receive_some(fd, buffer.data(), buffer.size());
  if (!size) return;
  if (*size == 0) return next_server(attempt);
  stream.insert(stream.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*size));
  if (stream.size() < 2) return;
  const std::size_t length = static_cast<std::size_t>(stream[0] << 8 | stream[1]);
  if (stream.size() < length + 2) return;
  DnsBytes answer(stream.begin() + 2, stream.begin() + 2 + static_cast<std::ptrdiff_t>(length));
  if (!dns_answers(answer, attempt->id, attempt->query)) return next_server(attempt);
  on_answer(attempt, std::move(answer));
}

void DnsForward::on_answer(const std::shared_ptr<Attempt>& attempt, DnsBytes answer) {
  dns_set_id(answer, attempt->query.id);
  if (!is_unhelpful(answer) || attempt->next == attempt->upstreams.size()) return finish(attempt, std::move(answer));
  attempt->unhelpful = std::move(answer);
  next_server(attempt);
}

void DnsForward::drop_socket(Attempt& attempt) {
  if (attempt.token == 0) return;
  attempt.session->owned.erase(attempt.token);
  loop_.close(attempt.token);
  attempt.token = 0;
}

void DnsForward::finish(const std::shared_ptr<Attempt>& attempt, DnsBytes answer) {
  const std::shared_ptr<Attempt> kept = attempt;  // the handler that holds it goes away with the socket
  drop_socket(*kept);
  kept->done(std::move(answer));
}

}  // namespace bryo::network

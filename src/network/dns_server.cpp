#include "network/dns_server.hpp"

#include <fcntl.h>
#include <sys/epoll.h>

#include <array>
#include <map>
#include <optional>

#include "base/error.hpp"
#include "base/log.hpp"
#include "kernel/netns.hpp"
#include "kernel/sockets.hpp"
#include "network/dns_answer.hpp"
#include "network/dns_forward.hpp"
#include "network/dns_redirect.hpp"
#include "network/dns_tcp.hpp"
#include "network/event_loop.hpp"

namespace bryo::network {
namespace {

// One wake-up serves at most this many datagrams of a container, then the others have their turn.
constexpr int kDatagramsAtOnce = 32;
constexpr std::uint16_t kDnsPort = 53;

struct Sockets {
  UniqueFd udp;
  UniqueFd tcp;
};

Sockets open_sockets(int netns_fd) {
  const kernel::NetnsVisit visit(netns_fd);
  const auto address = kernel::IpAddress::parse(kEmbeddedDns);
  Sockets sockets{kernel::bind_udp(address, 0), kernel::listen_tcp(address, 0)};
  try {
    redirect_dns(kernel::local_port(sockets.udp.get()), kernel::local_port(sockets.tcp.get()));
  } catch (const Error& error) {
    log::warning("embedded DNS server takes port 53 of {} in the container: {}", kEmbeddedDns, error.message());
    sockets = {kernel::bind_udp(address, kDnsPort), kernel::listen_tcp(address, kDnsPort)};
  }
  return sockets;
}

}  // namespace

struct DnsServer::Impl {
  Impl(const DnsNames& dns_names, const HostResolvers& resolvers)
      : names(dns_names),
        forward(loop, dns_names, resolvers),
        tcp(loop, [this](const auto& session, DnsBytes message, DnsTcp::Answer answer) {
          respond(DnsForward::Transport::tcp, session, std::move(message),
                  [answer = std::move(answer)](const DnsQuery*, DnsBytes bytes) { answer(std::move(bytes)); });
        }) {}

  ~Impl() { loop.stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  using Reply = std::function<void(const DnsQuery* query, DnsBytes answer)>;

  // An empty answer means: say nothing.
  void respond(DnsForward::Transport transport, const std::shared_ptr<DnsSession>& session, DnsBytes message,
               Reply reply) {
    DnsParsed parsed = parse_dns_query(message);
    if (!parsed.query) return reply(nullptr, parsed.refusal.value_or(DnsBytes()));
    const DnsQuery& query = *parsed.query;
    if (auto answer = local_dns_answer(names, session->container_id, query, session->turn++))
      return reply(&query, std::move(*answer));
    forward.start(transport, session, query, std::move(message),
                  [query, reply = std::move(reply)](DnsBytes answer) { reply(&query, std::move(answer)); });
  }

  void on_datagrams(const std::shared_ptr<DnsSession>& session) {
    std::array<std::uint8_t, kDnsLargestUdp> buffer;
    for (int i = 0; i < kDatagramsAtOnce; ++i) {
      const auto got = kernel::receive_datagram(loop.descriptor(session->udp), buffer.data(), buffer.size());
      if (!got) return;
      DnsBytes message(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got->size));
      respond(DnsForward::Transport::udp, session, std::move(message),
              [this, session, to = got->from, port = got->port](const DnsQuery* query, DnsBytes answer) {
                const int fd = loop.descriptor(session->udp);
                if (answer.empty() || fd < 0) return;
                answer = dns_fit(std::move(answer), query != nullptr ? query->udp_size : kDnsSmallest);
                kernel::send_datagram(fd, answer.data(), answer.size(), to, port);
              });
    }
  }

  void open(std::shared_ptr<DnsSession> session, Sockets sockets) {
    close(session->container_id);
    session->udp =
        loop.watch(std::move(sockets.udp), EPOLLIN, [this, session](std::uint32_t) { on_datagrams(session); });
    session->owned.insert(session->udp);
    session->tcp =
        loop.watch(std::move(sockets.tcp), EPOLLIN, [this, session](std::uint32_t) { tcp.accept_all(session); });
    session->owned.insert(session->tcp);
    sessions[session->container_id] = std::move(session);
  }

  void close(const std::string& container_id) {
    const auto found = sessions.find(container_id);
    if (found == sessions.end()) return;
    const std::shared_ptr<DnsSession> session = found->second;
    sessions.erase(found);
    const auto tokens = std::exchange(session->owned, {});
    for (const EventLoop::Token token : tokens) loop.close(token);
    session->netns.reset();
  }

  const DnsNames& names;
  std::map<std::string, std::shared_ptr<DnsSession>> sessions;  // event loop thread only
  EventLoop loop;
  DnsForward forward;
  DnsTcp tcp;
};

DnsServer::DnsServer(const DnsNames& names, const HostResolvers& resolvers)
    : impl_(std::make_unique<Impl>(names, resolvers)) {}

DnsServer::~DnsServer() = default;

void DnsServer::serve(const std::string& container_id, int netns_fd, const std::vector<std::string>& servers) {
  auto session = std::make_shared<DnsSession>();
  session->container_id = container_id;
  session->servers = servers;
  session->netns = UniqueFd(::fcntl(netns_fd, F_DUPFD_CLOEXEC, 3));
  if (!session->netns) fail_errno("duplicate the descriptor of a network namespace");
  auto sockets = std::make_shared<Sockets>(open_sockets(netns_fd));
  impl_->loop.post([impl = impl_.get(), session, sockets] { impl->open(session, std::move(*sockets)); });
}

void DnsServer::stop(const std::string& container_id) {
  impl_->loop.post([impl = impl_.get(), container_id] { impl->close(container_id); });
}

}  // namespace bryo::network

#include "network/dns_tcp.hpp"

#include <sys/epoll.h>

#include <array>

#include "base/error.hpp"
#include "kernel/sockets.hpp"

namespace bryo::network {
namespace {

constexpr std::size_t kMostClients = 32;
constexpr std::size_t kLongestInput = 65537;  // one message with its length
constexpr auto kIdle = std::chrono::seconds(10);

}  // namespace

struct DnsTcp::Client {
  explicit Client(std::shared_ptr<DnsSession> of) : session(std::move(of)) { ++session->clients; }
  ~Client() { --session->clients; }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  std::shared_ptr<DnsSession> session;
  EventLoop::Token token = 0;
  DnsBytes input;
  DnsBytes output;
  bool answering = false;
};

DnsTcp::DnsTcp(EventLoop& loop, Responder responder) : loop_(loop), responder_(std::move(responder)) {}

void DnsTcp::accept_all(const std::shared_ptr<DnsSession>& session) {
  while (auto fd = kernel::accept_tcp(loop_.descriptor(session->tcp))) {
    if (session->clients >= kMostClients) continue;  // closed at once
    auto client = std::make_shared<Client>(session);
    client->token = loop_.watch(std::move(*fd), EPOLLIN, [this, client](std::uint32_t events) {
      try {
        on_client(client, events);
      } catch (const Error&) {  // reset by the client
        close(client);
      }
    });
    session->owned.insert(client->token);
    loop_.set_deadline(client->token, EventLoop::Clock::now() + kIdle);
  }
}

void DnsTcp::on_client(const std::shared_ptr<Client>& client, std::uint32_t events) {
  if (events == 0) return close(client);
  if (!client->output.empty())
    write(client);
  else if (!client->answering)
    read(client);
  else if ((events & (EPOLLHUP | EPOLLERR)) != 0)
    close(client);
}

void DnsTcp::read(const std::shared_ptr<Client>& client) {
  std::array<std::uint8_t, 4096> buffer;
  const std::size_t room = std::min(buffer.size(), kLongestInput - client->input.size());
  const auto size = kernel::receive_some(loop_.descriptor(client->token), buffer.data(), room);
  if (!size) return;
  if (*size == 0) return close(client);
  client->input.insert(client->input.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*size));
  respond(client);
}

// Takes the next complete question out of the input, if there is one.
void DnsTcp::respond(const std::shared_ptr<Client>& client) {
  DnsBytes& input = client->input;
  if (input.size() < 2) return;
  const std::size_t length = static_cast<std::size_t>(input[0] << 8 | input[1]);
  if (input.size() < length + 2) return;
  const auto end = input.begin() + 2 + static_cast<std::ptrdiff_t>(length);
  DnsBytes message(input.begin() + 2, end);
  input.erase(input.begin(), end);
  client->answering = true;
  loop_.change_events(client->token, 0);  // no reading ahead: the client's own buffer is the queue
  loop_.set_deadline(client->token, EventLoop::Clock::now() + kIdle);
  responder_(client->session, std::move(message), [this, weak = std::weak_ptr<Client>(client)](DnsBytes answer) {
    const auto alive = weak.lock();
    if (!alive || loop_.descriptor(alive->token) < 0) return;
    if (answer.empty() || answer.size() > 65535) return close(alive);
    alive->output = {static_cast<std::uint8_t>(answer.size() >> 8), static_cast<std::uint8_t>(answer.size() & 0xff)};
    alive->output.insert(alive->output.end(), answer.begin(), answer.end());
    loop_.change_events(alive->token, EPOLLOUT);
  });
}

void DnsTcp::write(const std::shared_ptr<Client>& client) {
  DnsBytes& output = client->output;
  const auto sent = kernel::send_some(loop_.descriptor(client->token), output.data(), output.size());
  output.erase(output.begin(), output.begin() + static_cast<std::ptrdiff_t>(sent.value_or(0)));
  if (!output.empty()) return;
  client->answering = false;
  loop_.change_events(client->token, EPOLLIN);
  respond(client);  // a second question may have come with the first
}

void DnsTcp::close(const std::shared_ptr<Client>& client) {
  const std::shared_ptr<Client> kept = client;
  kept->session->owned.erase(kept->token);
  loop_.close(kept->token);
}

}  // namespace bryo::network

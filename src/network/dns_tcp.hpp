// DNS over TCP inside a container: accepts clients, reads questions one after the other, writes answers. Event loop
// thread only. Bounded: clients per container, one question at a time each, idle ones are closed.
#pragma once

#include <functional>
#include <memory>

#include "network/dns_message.hpp"
#include "network/dns_session.hpp"
#include "network/event_loop.hpp"

namespace bryo::network {

class DnsTcp {
 public:
  using Answer = std::function<void(DnsBytes answer)>;
  // Answers one message, now or later; not at all when it was none.
  using Responder = std::function<void(const std::shared_ptr<DnsSession>&, DnsBytes message, Answer answer)>;

  DnsTcp(EventLoop& loop, Responder responder);
  // The session's listener is readable.
  void accept_all(const std::shared_ptr<DnsSession>& session);

 private:
  struct Client;
  void on_client(const std::shared_ptr<Client>& client, std::uint32_t events);
  void read(const std::shared_ptr<Client>& client);
  void respond(const std::shared_ptr<Client>& client);
  void write(const std::shared_ptr<Client>& client);
  void close(const std::shared_ptr<Client>& client);

  EventLoop& loop_;
  Responder responder_;
};

}  // namespace bryo::network

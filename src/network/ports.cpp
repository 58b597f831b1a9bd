#include "network/ports.hpp"

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/sockets.hpp"

namespace bryo::network {

std::string_view to_string(Protocol protocol) { return protocol == Protocol::udp ? "udp" : "tcp"; }

Protocol parse_protocol(std::string_view text) {
  const std::string name = to_lower(text);
  if (name == "tcp" || name.empty()) return Protocol::tcp;
  if (name == "udp") return Protocol::udp;
  if (name == "sctp") fail(ErrorKind::unsupported, "publishing SCTP ports is not supported: tcp or udp");
  fail(ErrorKind::invalid_argument, "invalid proto: {}", printable(text, 20));
}

InheritedPort InheritedPort::inspect(UniqueFd socket) {
  const auto facts = kernel::inspect_socket(socket.get());
  if (!facts.datagrams && !facts.listening)
    fail(ErrorKind::invalid_argument, "TCP socket {} does not listen", facts.address.with_port(facts.port));
  return {std::move(socket), facts.datagrams ? Protocol::udp : Protocol::tcp, facts.address, facts.port,
          facts.both_families};
}

}  // namespace bryo::network

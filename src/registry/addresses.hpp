// May this address be contacted? A registry that the user named may be anywhere; where it *sends* us may not: redirects
// and token services must not reach the host's own services or a cloud's metadata service (server-side request
// forgery). Pure functions.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bryo::registry {

enum class Reach {
  anywhere,        // the user named this host
  not_link_local,  // followed from a registry that is itself on the loopback
  not_local,       // followed from anywhere else: no loopback, no link-local, no metadata services
};

bool may_connect(Reach reach, const struct sockaddr* address);

// An address as text ("127.0.0.1", "::1", "::ffff:10.0.0.1"), as 16 bytes (IPv4 mapped).
using AddressBytes = std::array<std::uint8_t, 16>;
std::optional<AddressBytes> parse_address(std::string_view text);
bool may_connect(Reach reach, const AddressBytes& address);
bool is_loopback(const AddressBytes& address);
// Literal loopback address or the name localhost (RFC 6761).
bool is_loopback_host(std::string_view host);

class Cidr {
 public:
  // "10.0.0.0/8", "fd00::/8"; nullopt when it is none.
  static std::optional<Cidr> parse(std::string_view text);
  bool contains(const AddressBytes& address) const;
  std::string str() const { return text_; }

 private:
  std::string text_;
  AddressBytes network_{};
  unsigned bits_ = 0;  // of 128
};

}  // namespace bryo::registry

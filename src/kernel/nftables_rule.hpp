// One nf_tables rule as the list of expressions that the kernel runs: what `nft --debug=netlink` prints. Pure.
//
// Expressions talk through sixteen registers of four bytes (r0 … r15); a wide value takes several, a concatenated key
// is values in neighbouring registers. Every expression that does not match ends the rule.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/sockets_address.hpp"

namespace bryo::kernel {

class NetlinkBatch;

enum class NftVerdict : std::uint8_t { accept, drop };

class NftRule {
 public:
  // Loads. r is the first register.
  NftRule& input_name(unsigned r);   // 16 bytes: four registers
  NftRule& output_name(unsigned r);  // 16 bytes
  NftRule& layer4_protocol(unsigned r);
  NftRule& network_header(unsigned r, unsigned offset, unsigned size);
  NftRule& transport_header(unsigned r, unsigned offset, unsigned size);
  NftRule& immediate(unsigned r, std::span<const std::byte> value);

  // Tests.
  NftRule& family_is(Family family);
  NftRule& protocol_is(std::uint8_t protocol);
  NftRule& equals(unsigned r, std::span<const std::byte> value);
  NftRule& differs(unsigned r, std::span<const std::byte> value);
  NftRule& input_is(std::string_view interface);
  NftRule& input_is_not(std::string_view interface);
  NftRule& output_is_not(std::string_view interface);
  NftRule& in_set(unsigned r, std::string_view set);
  NftRule& not_in_set(unsigned r, std::string_view set);
  NftRule& input_in(std::string_view set);  // set of names
  NftRule& output_in(std::string_view set);
  NftRule& input_not_in(std::string_view set);
  NftRule& output_not_in(std::string_view set);
  NftRule& input_output_in(std::string_view set);  // set of pairs
  // The destination is an address of this host (fib daddr type local); of the arriving interface when `here`.
  NftRule& to_local();
  NftRule& not_to_local_here();
  // No route back to the source through the arriving interface (fib saddr . iif oif missing).
  NftRule& no_way_back();
  NftRule& connection_established();  // or related
  NftRule& connection_translated();   // its destination was rewritten
  // A local socket with IP_TRANSPARENT is an end of this flow, whatever its addresses (hooks prerouting, input,
  // output).
  NftRule& socket_transparent();

  // Effects.
  // Looks the key at r up in a map; the value replaces it from r on.
  NftRule& map(unsigned r, std::string_view map);
  NftRule& translate_destination(Family family, unsigned address_register, unsigned port_register);
  NftRule& masquerade();
  // The packet's mark (fwmark), which routing rules can see.
  NftRule& set_mark(std::uint32_t mark);
  // Stateless: overwrites the bytes and corrects the checksum at `checksum_offset` of the same header.
  NftRule& write_transport_header(unsigned r, unsigned offset, unsigned size, unsigned checksum_offset);
  NftRule& verdict(NftVerdict verdict);

  void write(NetlinkBatch& batch) const;

 private:
  using Fill = std::function<void(NetlinkBatch&)>;
  NftRule& add(std::string name, Fill fill);
  NftRule& meta(unsigned r, std::uint32_t key);
  NftRule& payload(unsigned base, unsigned r, unsigned offset, unsigned size);
  NftRule& compare(unsigned r, std::uint32_t operation, std::span<const std::byte> value);
  NftRule& lookup(unsigned r, std::string_view set, bool inverted);
  NftRule& fib(unsigned r, std::uint32_t result, std::uint32_t flags);
  NftRule& conntrack_bits(std::uint32_t key, std::uint32_t bits);

  struct Expression {
    std::string name;
    Fill fill;
  };
  std::vector<Expression> expressions_;
};

}  // namespace bryo::kernel

#include "kernel/nftables_rule.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <array>
#include <cstring>

#include "kernel/netlink.hpp"

namespace bryo::kernel {
namespace {

constexpr std::uint32_t kRegisterBytes = 4;

std::uint32_t kernel_register(unsigned r) { return NFT_REG32_00 + r; }

std::uint8_t nf_family(Family family) { return family == Family::v6 ? NFPROTO_IPV6 : NFPROTO_IPV4; }

// Interface names are compared over the whole field, padded with zeros.
std::array<std::byte, IFNAMSIZ> padded_name(std::string_view name) {
  std::array<std::byte, IFNAMSIZ> out{};
  std::memcpy(out.data(), name.data(), std::min<std::size_t>(name.size(), IFNAMSIZ - 1));
  return out;
}

template <typename Value>
std::span<const std::byte> as_bytes(const Value& value) {
  return std::as_bytes(std::span<const Value, 1>(&value, 1));
}

void put_value(NetlinkBatch& batch, unsigned type, std::span<const std::byte> value) {
  batch.nest(type, [&] { batch.bytes(NFTA_DATA_VALUE, value); });
}

}  // namespace

NftRule& NftRule::add(std::string name, Fill fill) {
  expressions_.push_back({std::move(name), std::move(fill)});
  return *this;
}

void NftRule::write(NetlinkBatch& batch) const {
  batch.nest(NFTA_RULE_EXPRESSIONS, [&] {
    for (const Expression& expression : expressions_) {
      batch.nest(NFTA_LIST_ELEM, [&] {
        batch.text(NFTA_EXPR_NAME, expression.name);
        batch.nest(NFTA_EXPR_DATA, [&] { expression.fill(batch); });
      });
    }
  });
}

NftRule& NftRule::meta(unsigned r, std::uint32_t key) {
  return add("meta",
             [=](NetlinkBatch& batch) { batch.be32(NFTA_META_KEY, key).be32(NFTA_META_DREG, kernel_register(r)); });
}

NftRule& NftRule::payload(unsigned base, unsigned r, unsigned offset, unsigned size) {
  return add("payload", [=](NetlinkBatch& batch) {
    batch.be32(NFTA_PAYLOAD_DREG, kernel_register(r)).be32(NFTA_PAYLOAD_BASE, base);
    batch.be32(NFTA_PAYLOAD_OFFSET, offset).be32(NFTA_PAYLOAD_LEN, size);
  });
}

NftRule& NftRule::compare(unsigned r, std::uint32_t operation, std::span<const std::byte> value) {
  return add("cmp", [=, copy = std::vector<std::byte>(value.begin(), value.end())](NetlinkBatch& batch) {
    batch.be32(NFTA_CMP_SREG, kernel_register(r)).be32(NFTA_CMP_OP, operation);
    put_value(batch, NFTA_CMP_DATA, copy);
  });
}

NftRule& NftRule::lookup(unsigned r, std::string_view set, bool inverted) {
  return add("lookup", [=, name = std::string(set)](NetlinkBatch& batch) {
    batch.text(NFTA_LOOKUP_SET, name).be32(NFTA_LOOKUP_SREG, kernel_register(r));
    if (inverted) batch.be32(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
  });
}

NftRule& NftRule::fib(unsigned r, std::uint32_t result, std::uint32_t flags) {
  return add("fib", [=](NetlinkBatch& batch) {
    batch.be32(NFTA_FIB_DREG, kernel_register(r)).be32(NFTA_FIB_RESULT, result).be32(NFTA_FIB_FLAGS, flags);
  });
}

NftRule& NftRule::conntrack_bits(std::uint32_t key, std::uint32_t bits) {
  add("ct", [=](NetlinkBatch& batch) { batch.be32(NFTA_CT_KEY, key).be32(NFTA_CT_DREG, kernel_register(0)); });
  add("bitwise", [=](NetlinkBatch& batch) {
    const std::uint32_t none = 0;
    batch.be32(NFTA_BITWISE_SREG, kernel_register(0)).be32(NFTA_BITWISE_DREG, kernel_register(0));
    batch.be32(NFTA_BITWISE_LEN, kRegisterBytes);
    put_value(batch, NFTA_BITWISE_MASK, as_bytes(bits));
    put_value(batch, NFTA_BITWISE_XOR, as_bytes(none));
  });
  const std::uint32_t none = 0;
  return compare(0, NFT_CMP_NEQ, as_bytes(none));
}

NftRule& NftRule::input_name(unsigned r) { return meta(r, NFT_META_IIFNAME); }
NftRule& NftRule::output_name(unsigned r) { return meta(r, NFT_META_OIFNAME); }
NftRule& NftRule::layer4_protocol(unsigned r) { return meta(r, NFT_META_L4PROTO); }

NftRule& NftRule::network_header(unsigned r, unsigned offset, unsigned size) {
  return payload(NFT_PAYLOAD_NETWORK_HEADER, r, offset, size);
}

NftRule& NftRule::transport_header(unsigned r, unsigned offset, unsigned size) {
  return payload(NFT_PAYLOAD_TRANSPORT_HEADER, r, offset, size);
}

NftRule& NftRule::immediate(unsigned r, std::span<const std::byte> value) {
  return add("immediate", [=, copy = std::vector<std::byte>(value.begin(), value.end())](NetlinkBatch& batch) {
    batch.be32(NFTA_IMMEDIATE_DREG, kernel_register(r));
    put_value(batch, NFTA_IMMEDIATE_DATA, copy);
  });
}

NftRule& NftRule::equals(unsigned r, std::span<const std::byte> value) { return compare(r, NFT_CMP_EQ, value); }
NftRule& NftRule::differs(unsigned r, std::span<const std::byte> value) { return compare(r, NFT_CMP_NEQ, value); }

NftRule& NftRule::family_is(Family family) {
  const std::uint8_t wanted = nf_family(family);
  return meta(0, NFT_META_NFPROTO).equals(0, as_bytes(wanted));
}

NftRule& NftRule::protocol_is(std::uint8_t protocol) { return layer4_protocol(0).equals(0, as_bytes(protocol)); }

NftRule& NftRule::input_is(std::string_view interface) { return input_name(0).equals(0, padded_name(interface)); }
NftRule& NftRule::input_is_not(std::string_view interface) { return input_name(0).differs(0, padded_name(interface)); }
NftRule& NftRule::output_is_not(std::string_view interface) {
  return output_name(0).differs(0, padded_name(interface));
}

NftRule& NftRule::in_set(unsigned r, std::string_view set) { return lookup(r, set, false); }
NftRule& NftRule::not_in_set(unsigned r, std::string_view set) { return lookup(r, set, true); }
NftRule& NftRule::input_in(std::string_view set) { return input_name(0).in_set(0, set); }
NftRule& NftRule::output_in(std::string_view set) { return output_name(0).in_set(0, set); }
NftRule& NftRule::input_not_in(std::string_view set) { return input_name(0).not_in_set(0, set); }
NftRule& NftRule::output_not_in(std::string_view set) { return output_name(0).not_in_set(0, set); }
NftRule& NftRule::input_output_in(std::string_view set) { return input_name(0).output_name(4).in_set(0, set); }

NftRule& NftRule::to_local() {
  const std::uint32_t local = RTN_LOCAL;
  return fib(0, NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR).equals(0, as_bytes(local));
}

NftRule& NftRule::not_to_local_here() {
  const std::uint32_t local = RTN_LOCAL;
  return fib(0, NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR | NFTA_FIB_F_IIF).differs(0, as_bytes(local));
}

NftRule& NftRule::no_way_back() {
  const std::uint32_t none = 0;
  return fib(0, NFT_FIB_RESULT_OIF, NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF).equals(0, as_bytes(none));
}

NftRule& NftRule::connection_established() {
  return conntrack_bits(NFT_CT_STATE, NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
}

NftRule& NftRule::connection_translated() { return conntrack_bits(NFT_CT_STATUS, IPS_DST_NAT); }

NftRule& NftRule::socket_transparent() {
  add("socket", [](NetlinkBatch& batch) {
    batch.be32(NFTA_SOCKET_KEY, NFT_SOCKET_TRANSPARENT).be32(NFTA_SOCKET_DREG, kernel_register(0));
  });
  const std::uint8_t yes = 1;
  return compare(0, NFT_CMP_EQ, as_bytes(yes));
}

NftRule& NftRule::map(unsigned r, std::string_view map) {
  return add("lookup", [=, name = std::string(map)](NetlinkBatch& batch) {
    batch.text(NFTA_LOOKUP_SET, name);
    batch.be32(NFTA_LOOKUP_SREG, kernel_register(r)).be32(NFTA_LOOKUP_DREG, kernel_register(r));
  });
}

NftRule& NftRule::translate_destination(Family family, unsigned address_register, unsigned port_register) {
  return add("nat", [=](NetlinkBatch& batch) {
    batch.be32(NFTA_NAT_TYPE, NFT_NAT_DNAT).be32(NFTA_NAT_FAMILY, nf_family(family));
    batch.be32(NFTA_NAT_REG_ADDR_MIN, kernel_register(address_register));
    batch.be32(NFTA_NAT_REG_PROTO_MIN, kernel_register(port_register));
  });
}

NftRule& NftRule::masquerade() {
  return add("masq", [](NetlinkBatch&) {});
}

NftRule& NftRule::set_mark(std::uint32_t mark) {
  immediate(0, as_bytes(mark));
  return add("meta", [](NetlinkBatch& batch) {
    batch.be32(NFTA_META_KEY, NFT_META_MARK).be32(NFTA_META_SREG, kernel_register(0));
  });
}

NftRule& NftRule::write_transport_header(unsigned r, unsigned offset, unsigned size, unsigned checksum_offset) {
  return add("payload", [=](NetlinkBatch& batch) {
    batch.be32(NFTA_PAYLOAD_SREG, kernel_register(r)).be32(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
    batch.be32(NFTA_PAYLOAD_OFFSET, offset).be32(NFTA_PAYLOAD_LEN, size);
    batch.be32(NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET).be32(NFTA_PAYLOAD_CSUM_OFFSET, checksum_offset);
  });
}

NftRule& NftRule::verdict(NftVerdict verdict) {
  const std::uint32_t code = verdict == NftVerdict::accept ? NF_ACCEPT : NF_DROP;
  return add("immediate", [=](NetlinkBatch& batch) {
    batch.be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    batch.nest(NFTA_IMMEDIATE_DATA,
               [&] { batch.nest(NFTA_DATA_VERDICT, [&] { batch.be32(NFTA_VERDICT_CODE, code); }); });
  });
}

}  // namespace bryo::kernel

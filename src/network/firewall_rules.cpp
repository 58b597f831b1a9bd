#include "network/firewall_rules.hpp"

#include <fmt/format.h>
#include <netinet/in.h>

#include <array>
#include <span>

namespace bryo::network {

using kernel::Family;
using kernel::NftHook;
using kernel::NftKey;
using kernel::NftRule;
using kernel::NftTransaction;
using kernel::NftVerdict;

namespace {

constexpr std::string_view kBridges = "bridges";
constexpr std::string_view kInternal = "internal";
constexpr std::string_view kMasquerade = "masq";
constexpr std::string_view kProxied = "proxied";
constexpr std::string_view kSelf4 = "self4";
constexpr std::string_view kSelf6 = "self6";
constexpr std::string_view kDirect = "direct";
constexpr std::string_view kHairpin = "hairpin";
constexpr std::string_view kPorts4 = "ports4";
constexpr std::string_view kPorts6 = "ports6";
constexpr std::string_view kAny4 = "any4";
constexpr std::string_view kAny6 = "any6";

constexpr int kLayout = 1;

constexpr int kPriorityRaw = -300;
constexpr int kPriorityMangle = -150;
constexpr int kPriorityDnat = -100;
constexpr int kPriorityFilter = 0;
constexpr int kPrioritySnat = 100;

constexpr unsigned kSource4 = 12;  // offsets in the IP headers
constexpr unsigned kSource6 = 8;
constexpr unsigned kDestination4 = 16;
constexpr unsigned kDestination6 = 24;
constexpr unsigned kDestinationPort = 2;

void add_sets(NftTransaction& change) {
  using namespace kernel;
  constexpr std::uint32_t kPair = nft_concat(kNftInterface, kNftInterface);
  constexpr std::uint32_t kPort = nft_concat(kNftProtocol, kNftService);
  change.add_set({kBridges, kNftInterface, 16});
  change.add_set({kInternal, kNftInterface, 16});
  change.add_set({kMasquerade, kNftInterface, 16});
  change.add_set({kProxied, kNftInterface, 16});
  change.add_set({kDirect, kPair, 32});
  change.add_set({kHairpin, kPair, 32});
  change.add_set({kSelf4, nft_concat(kNftIpv4, kNftProtocol, kNftService), 12});
  change.add_set({kSelf6, nft_concat(kNftIpv6, kNftProtocol, kNftService), 24});
  change.add_set({kAny4, kPort, 8, nft_concat(kNftIpv4, kNftService), 8});
  change.add_set({kAny6, kPort, 8, nft_concat(kNftIpv6, kNftService), 20});
  change.add_set({kPorts4, nft_concat(kNftIpv4, kNftProtocol, kNftService), 12, nft_concat(kNftIpv4, kNftService), 8});
  change.add_set({kPorts6, nft_concat(kNftIpv6, kNftProtocol, kNftService), 24, nft_concat(kNftIpv6, kNftService), 20});
}

NftRule& is_loopback(NftRule& rule, Family family, bool wanted) {
  static constexpr std::array<std::byte, 1> kNet127{std::byte{127}};
  static constexpr std::array<std::byte, 16> kOne{
      std::byte{}, std::byte{}, std::byte{}, std::byte{}, std::byte{}, std::byte{}, std::byte{}, std::byte{},
      std::byte{}, std::byte{}, std::byte{}, std::byte{}, std::byte{}, std::byte{}, std::byte{}, std::byte{1}};
  rule.family_is(family);
  const bool v6 = family == Family::v6;
  rule.network_header(0, v6 ? kDestination6 : kDestination4, v6 ? 16 : 1);
  const std::span<const std::byte> value = v6 ? std::span<const std::byte>(kOne) : std::span<const std::byte>(kNet127);
  return wanted ? rule.equals(0, value) : rule.differs(0, value);
}

// To an address of this host only: transit traffic with the same port is not ours (CVE-2025-67499).
NftRule translate(Family family, bool specific, bool from_host) {
  const bool v6 = family == Family::v6;
  NftRule rule;
  if (from_host)
    is_loopback(rule, family, false);
  else
    rule.family_is(family);
  rule.to_local();
  unsigned r = 0;
  if (specific) {
    rule.network_header(r, v6 ? kDestination6 : kDestination4, v6 ? 16 : 4);
    r += v6 ? 4 : 1;
  }
  rule.layer4_protocol(r).transport_header(r + 1, kDestinationPort, 2);
  rule.map(0, specific ? (v6 ? kPorts6 : kPorts4) : (v6 ? kAny6 : kAny4));
  rule.translate_destination(family, 0, v6 ? 4 : 1);
  return rule;
}

void add_translation_rules(NftTransaction& change, std::string_view chain, bool from_host) {
  for (const Family family : {Family::v4, Family::v6}) {
    for (const bool specific : {true, false}) change.add_rule(chain, translate(family, specific, from_host));
  }
}

// A container that asks for its own published port.
void add_self_rules(NftTransaction& change) {
  for (const Family family : {Family::v4, Family::v6}) {
    const bool v6 = family == Family::v6;
    NftRule rule;
    rule.family_is(family).network_header(0, v6 ? kSource6 : kSource4, v6 ? 16 : 4);
    rule.layer4_protocol(v6 ? 4 : 1).transport_header(v6 ? 5 : 2, kDestinationPort, 2);
    change.add_rule("prerouting", rule.in_set(0, v6 ? kSelf6 : kSelf4).to_local().verdict(NftVerdict::accept));
  }
}

void add_raw_rules(NftTransaction& change) {
  for (const Family family : {Family::v4, Family::v6}) {
    NftRule martian;  // CVE-2020-8558: also where route_localnet is on
    martian.input_is_not("lo");
    change.add_rule("raw", is_loopback(martian, family, true).verdict(NftVerdict::drop));
  }
  change.add_rule("raw", NftRule().input_in(kBridges).no_way_back().verdict(NftVerdict::drop));
}

void add_forward_rules(NftTransaction& change, bool close_transit) {
  constexpr std::string_view kChain = "forward";
  change.add_rule(kChain, NftRule().input_output_in(kDirect).verdict(NftVerdict::accept));
  change.add_rule(kChain, NftRule().input_in(kInternal).verdict(NftVerdict::drop));
  change.add_rule(kChain, NftRule().output_in(kInternal).verdict(NftVerdict::drop));
  change.add_rule(kChain, NftRule().output_in(kBridges).connection_established().verdict(NftVerdict::accept));
  change.add_rule(kChain, NftRule().output_in(kBridges).connection_translated().verdict(NftVerdict::accept));
  change.add_rule(kChain, NftRule().output_in(kBridges).verdict(NftVerdict::drop));
  if (close_transit) change.add_rule(kChain, NftRule().input_not_in(kBridges).verdict(NftVerdict::drop));
}

}  // namespace

std::string layout_mark(const TableLayout& layout) {
  return fmt::format("layout{}{}{}", kLayout, layout.close_transit ? "_closed" : "",
                     layout.transparent ? "_foreign" : "");
}

std::vector<std::string_view> element_sets() {
  return {kBridges, kInternal, kMasquerade, kProxied, kDirect, kHairpin,
          kSelf4,   kSelf6,    kAny4,       kAny6,    kPorts4, kPorts6};
}

void add_firewall_rules(NftTransaction& change, const TableLayout& layout) {
  add_sets(change);
  change.add_set({layout_mark(layout), kernel::kNftInterface, 16});
  change.add_chain({"raw", false, NftHook::prerouting, kPriorityRaw});
  if (layout.transparent) {
    change.add_chain({"foreign", false, NftHook::prerouting, kPriorityMangle});
    change.add_rule("foreign", NftRule().input_in(kBridges).socket_transparent().set_mark(kTransparentMark));
  }
  change.add_chain({"prerouting", true, NftHook::prerouting, kPriorityDnat});
  change.add_chain({"output", true, NftHook::output, kPriorityDnat});
  change.add_chain({"postrouting", true, NftHook::postrouting, kPrioritySnat});
  change.add_chain({"input", false, NftHook::input, kPriorityFilter});
  change.add_chain({"forward", false, NftHook::forward, kPriorityFilter});
  add_raw_rules(change);
  change.add_rule("prerouting", NftRule().input_in(kProxied).verdict(NftVerdict::accept));
  add_self_rules(change);
  add_translation_rules(change, "prerouting", false);
  add_translation_rules(change, "output", true);
  change.add_rule("postrouting", NftRule().connection_translated().input_output_in(kHairpin).masquerade());
  change.add_rule("postrouting", NftRule().input_in(kMasquerade).output_not_in(kBridges).masquerade());
  change.add_rule("input", NftRule().input_in(kInternal).to_local().not_to_local_here().verdict(NftVerdict::drop));
  add_forward_rules(change, layout.close_transit);
}

std::vector<SetElements> elements_of(const BridgeRules& bridge) {
  const auto name = [&] { return kernel::NftElement{NftKey().interface(bridge.interface).take(), {}}; };
  const auto pair = [&] {
    return kernel::NftElement{NftKey().interface(bridge.interface).interface(bridge.interface).take(), {}};
  };
  std::vector<SetElements> out{{kBridges, {name()}}, {kHairpin, {pair()}}};
  if (bridge.internal) out.push_back({kInternal, {name()}});
  out.push_back({bridge.icc ? kDirect : kProxied, {bridge.icc ? pair() : name()}});
  if (bridge.masquerade && !bridge.internal) out.push_back({kMasquerade, {name()}});
  return out;
}

std::vector<SetElements> elements_of(const Translation& translation) {
  const bool v6 = translation.target.is_v6();
  const bool specific = !translation.host.is_any();
  const std::uint8_t protocol = translation.protocol == Protocol::udp ? IPPROTO_UDP : IPPROTO_TCP;
  NftKey key;
  if (specific) key.address(translation.host);
  key.protocol(protocol).port(translation.host_port);
  NftKey target;
  target.address(translation.target).port(translation.target_port);
  std::vector<SetElements> out;
  out.push_back({specific ? (v6 ? kPorts6 : kPorts4) : (v6 ? kAny6 : kAny4), {{key.take(), target.take()}}});
  if (!translation.proxied) return out;
  NftKey self;
  self.address(translation.target).protocol(protocol).port(translation.host_port);
  out.push_back({v6 ? kSelf6 : kSelf4, {{self.take(), {}}}});
  return out;
}

}  // namespace bryo::network

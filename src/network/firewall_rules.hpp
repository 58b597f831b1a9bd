// The ruleset of firewall.hpp as kernel::NftTransaction steps. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernel/nftables.hpp"
#include "network/firewall.hpp"

namespace bryo::network {

// Which rules a table has; what is in its sets is no part of this.
struct TableLayout {
  bool close_transit = false;  // drop what neither comes from nor goes to a container
  bool transparent = false;    // packets to sockets with IP_TRANSPARENT get kTransparentMark
};

// An empty set whose name says which rules a table holds: one that is found with the right mark keeps its chains, and
// only its elements are replaced. Chains that are replaced leave a packet that is between the two, for an instant,
// without rules.
std::string layout_mark(const TableLayout& layout);
// Every set with elements.
std::vector<std::string_view> element_sets();
// Sets, chains and rules of an empty table. Anything that changes here needs another kLayout.
void add_firewall_rules(kernel::NftTransaction& change, const TableLayout& layout);

struct SetElements {
  std::string_view set;
  std::vector<kernel::NftElement> elements;
};

std::vector<SetElements> elements_of(const BridgeRules& bridge);
std::vector<SetElements> elements_of(const Translation& translation);

}  // namespace bryo::network

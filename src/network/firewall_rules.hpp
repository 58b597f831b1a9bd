// The ruleset of firewall.hpp as kernel::NftTransaction steps. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "kernel/nftables.hpp"
#include "network/firewall.hpp"

namespace bryo::network {

// Sets, chains and rules of an empty table.
void add_firewall_rules(kernel::NftTransaction& change, bool close_transit);

struct SetElements {
  std::string_view set;
  std::vector<kernel::NftElement> elements;
};

std::vector<SetElements> elements_of(const BridgeRules& bridge);
std::vector<SetElements> elements_of(const Translation& translation);

}  // namespace bryo::network

// Containers as the rows of `ps` and `system df -v`.
#pragma once

#include <string>
#include <vector>

#include "cli/format/listing.hpp"

namespace bryo::cli {

// `now`: for the age. `truncate`: short ids, cut commands.
Row container_row(const json::Value& container, bool truncate, std::int64_t now);
// The PORTS column: consecutive ports as ranges, published ones with their address.
std::string ports_text(const json::Array& ports);

extern const ListStyle kContainerStyle;

}  // namespace bryo::cli

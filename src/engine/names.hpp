// Names for containers that got none: an adjective and a moss, "quiet_sphagnum". Words are our own.
#pragma once

#include <string>
#include <string_view>

namespace bryo::engine {

// A random name; after the first tries callers ask for a numbered one ("quiet_sphagnum7").
std::string random_name(bool numbered);

// Docker's rule for container and volume names: [a-zA-Z0-9][a-zA-Z0-9_.-]+ .
bool is_valid_name(std::string_view name);

}  // namespace bryo::engine

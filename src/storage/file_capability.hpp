// security.capability: a file's capabilities, of which root they are. An image has revision 2 (the one root); a file
// that belongs to a container with a map needs revision 3 with the host id of that container's root, or its
// capabilities count for nothing there. (include/uapi/linux/capability.h)
#pragma once

#include <cstdint>
#include <string>

namespace bryo::storage {

inline constexpr const char* kCapabilityXattr = "security.capability";

// The same capabilities for another root; malformed values are given back as they are.
std::string capability_of_root(std::string value, std::uint32_t root);

}  // namespace bryo::storage

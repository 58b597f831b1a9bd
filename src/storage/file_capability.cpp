#include "storage/file_capability.hpp"

namespace bryo::storage {

std::string capability_of_root(std::string value, std::uint32_t root) {
  // Little-endian: revision and flags, two pairs of sets, and in revision 3 the root's id.
  constexpr std::size_t kRevision2 = 20;
  constexpr std::size_t kRevision3 = 24;
  const bool known = (value.size() == kRevision2 && value[3] == 2) || (value.size() == kRevision3 && value[3] == 3);
  if (!known) return value;
  value.resize(kRevision2);
  value[3] = 2;
  if (root == 0) return value;
  value[3] = 3;
  for (unsigned shift = 0; shift < 32; shift += 8) value += static_cast<char>(root >> shift & 0xffU);
  return value;
}

}  // namespace bryo::storage

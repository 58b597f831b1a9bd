// Capabilities of Linux: names and numbers (capabilities(7)), and what this process has. Bit n of a set is capability
// n. Pure but for the last three functions. Any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bryo::kernel {

// "CAP_CHOWN" or "chown", any case; nullopt when unknown.
std::optional<unsigned> capability_number(std::string_view name);
// "CAP_CHOWN"; "CAP_57" for a number without a name.
std::string capability_name(unsigned number);
inline constexpr unsigned kKnownCapabilities = 41;

constexpr std::uint64_t capability_bit(unsigned number) { return std::uint64_t{1} << number; }

// Effective set of the calling thread.
std::uint64_t effective_capabilities();
// From here on the calling thread makes files as these ids would (credentials(7), "file system ids"), and may do
// with others' files what it could before. File systems and mounts with a map of ids refuse (EOVERFLOW) to make a file
// for somebody whom their map does not name. For a thread that ends with its work.
void make_files_as(uid_t uid, gid_t gid);
// The highest number that this kernel knows.
unsigned last_capability();

}  // namespace bryo::kernel

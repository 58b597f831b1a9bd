// Values of options as dockerd writes them. Pure. Errors: Error{invalid_argument} quoting the value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "engine/options.hpp"

namespace bryo::daemon {

// Go's strconv.ParseBool: 1, t, true, True, TRUE and their opposites.
bool parse_bool(std::string_view text);
int parse_number(std::string_view text, int least, int most);
// "64M", "1.5g", "100kb", "4096": powers of 1024.
std::int64_t parse_size(std::string_view text);
std::pair<std::string, std::string> parse_key_value(std::string_view text);
// "nofile=1024:2048", "nofile=1024".
engine::Ulimit parse_ulimit(std::string_view text);
// "base=172.80.0.0/16,size=24".
engine::AddressPool parse_pool(std::string_view text);
// An IP address, unchanged.
std::string checked_ip(const std::string& text);

}  // namespace bryo::daemon

// What a host answers when nobody listens: a reset for TCP (RFC 9293 3.10.7.1), "port unreachable" for UDP (RFC 792,
// RFC 4443). Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "rootless/usernet/frame_filter.hpp"

namespace bryo::rootless::usernet {

// The answer to a frame that the filter refused; empty when it must not be answered (a reset).
std::vector<std::uint8_t> refusal_of(Frame refused);

}  // namespace bryo::rootless::usernet

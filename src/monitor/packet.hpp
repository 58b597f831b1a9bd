// One message of the control protocol on the wire: sending and receiving whole packets with their descriptors.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"
#include "monitor/protocol.hpp"

namespace bryo::monitor {

struct Packet {
  MessageHeader header;
  std::string payload;
  std::vector<UniqueFd> descriptors;
};

enum class Transfer { done, would_block, closed };

// Nothing is ever sent in part. `closed`: the other side is gone. Throws for what is too large to send.
Transfer send_packet(int socket, MessageType type, std::uint32_t request, std::string_view payload,
                     std::span<const int> descriptors, bool wait = false);
// `wait` false: never blocks. Throws Error{invalid_argument} for a packet that breaks the protocol.
Transfer receive_packet(int socket, Packet& packet, bool wait = false);

// Bytes of any length, for the messages whose payload travels in a memfd.
UniqueFd to_memory(std::string_view bytes);
std::string from_memory(int descriptor);

// The other end is root or ourselves (SO_PEERCRED, CVE-2020-15257).
bool peer_is_trusted(int socket);

}  // namespace bryo::monitor

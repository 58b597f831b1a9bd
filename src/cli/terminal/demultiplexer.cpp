#include "cli/terminal/demultiplexer.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "cli/format/escape.hpp"

namespace bryo::cli {
namespace {

constexpr unsigned kStderr = 2;
constexpr unsigned kSystem = 3;
constexpr std::size_t kMaxMessage = 64 << 10;

}  // namespace

void Demultiplexer::feed(std::string_view bytes, std::string& out, std::string& err) {
  while (!bytes.empty()) {
    if (left_ == 0) {
      header_[header_size_++] = static_cast<unsigned char>(bytes[0]);
      bytes.remove_prefix(1);
      if (header_size_ < header_.size()) continue;
      header_size_ = 0;
      if (header_[0] > kSystem) fail(ErrorKind::unavailable, "unrecognized input header: {}", header_[0]);
      left_ = static_cast<std::uint32_t>(header_[4]) << 24 | static_cast<std::uint32_t>(header_[5]) << 16 |
              static_cast<std::uint32_t>(header_[6]) << 8 | header_[7];
      continue;
    }
    const std::size_t size = std::min<std::size_t>(left_, bytes.size());
    const std::string_view piece = bytes.substr(0, size);
    if (header_[0] == kSystem) {
      message_ += piece.substr(0, kMaxMessage - std::min(kMaxMessage, message_.size()));
    } else {
      (header_[0] == kStderr ? err : out) += piece;
    }
    left_ -= static_cast<std::uint32_t>(size);
    bytes.remove_prefix(size);
    if (header_[0] == kSystem && left_ == 0)
      fail(ErrorKind::internal, "error from daemon in stream: {}", terminal_safe(message_));
  }
}

}  // namespace bryo::cli

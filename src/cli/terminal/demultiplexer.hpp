// Takes the frames of a container without a terminal apart: 8 bytes of header (stream, three zeros, big-endian length),
// then so many bytes of standard output or standard error.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bryo::cli {

class Demultiplexer {
 public:
  // Appends to `out` and `err`; what arrives of a frame is passed on at once. Throws Error{internal} for the daemon's
  // own message in stream 3, Error{unavailable} for anything that is no frame.
  void feed(std::string_view bytes, std::string& out, std::string& err);

 private:
  std::array<unsigned char, 8> header_{};
  std::size_t header_size_ = 0;
  std::uint32_t left_ = 0;
  std::string message_;  // of the daemon itself
};

}  // namespace bryo::cli

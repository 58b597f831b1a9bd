// The user-mode TCP/IP stack: frames of a tap device on one side, ordinary sockets on the other, libslirp between.
// Single-threaded. What comes from the tap is hostile.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/unique_fd.hpp"
#include "rootless/usernet/config.hpp"
#include "rootless/usernet/frame_filter.hpp"
#include "rootless/usernet/offload.hpp"
#include "rootless/usernet/poll_set.hpp"
#include "rootless/usernet/reassembly.hpp"

struct Slirp;
struct SlirpCb;

namespace bryo::rootless::usernet {

class Stack {
 public:
  Stack(const Config& config, UniqueFd tap);
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // Returns when the tap device is gone, which happens with its network namespace.
  void run();

 private:
  static const SlirpCb& callbacks();
  // milliseconds that libslirp can wait; -1 for ever.
  int fill_poll_set();
  // false: the device is gone.
  bool take_frames();
  void take_frame(std::span<std::uint8_t> packet);
  void note_guest_error(const char* message);

  UniqueFd tap_;
  TapWriter writer_;
  Reassembly reassembly_;
  FrameFilter filter_;
  PollSet poll_;
  std::vector<std::uint8_t> buffer_;
  std::size_t noted_errors_ = 0;
  Slirp* slirp_ = nullptr;
};

}  // namespace bryo::rootless::usernet

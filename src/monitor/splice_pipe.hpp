// Pipes through which splice(2) moves bytes between two sockets. A connection borrows one only while bytes are on their
// way, so that an idle connection costs two descriptors. Part of Forwards.
#pragma once

#include <cstddef>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::monitor {

struct SplicePipe {
  UniqueFd read;
  UniqueFd write;
  std::size_t filled = 0;
  explicit operator bool() const { return static_cast<bool>(read); }
};

class SplicePipePool {
 public:
  // Empty when the process has no descriptors left.
  SplicePipe take();
  // Keeps a few for the next.
  void give_back(SplicePipe pipe);

 private:
  std::vector<SplicePipe> free_;
};

}  // namespace bryo::monitor

#include "monitor/splice_pipe.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace bryo::monitor {
namespace {

constexpr std::size_t kKept = 4;
// Of socket buffers each fragment takes a slot of its own: the default 16 slots would cap a round at few kilobytes.
constexpr int kPipeSize = 1024 * 1024;

}  // namespace

SplicePipe SplicePipePool::take() {
  if (!free_.empty()) {
    SplicePipe pipe = std::move(free_.back());
    free_.pop_back();
    return pipe;
  }
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) return {};
  SplicePipe pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
  ::fcntl(pipe.write.get(), F_SETPIPE_SZ, kPipeSize);  // an unprivileged engine may be refused: smaller rounds then
  return pipe;
}

void SplicePipePool::give_back(SplicePipe pipe) {
  if (pipe && pipe.filled == 0 && free_.size() < kKept) free_.push_back(std::move(pipe));
}

}  // namespace bryo::monitor

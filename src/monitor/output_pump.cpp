#include "monitor/output_pump.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.hpp"

namespace bryo::monitor {
namespace {

constexpr std::size_t kChunk = 128 * 1024;
constexpr int kDefaultPipe = 64 * 1024;
constexpr int kLargePipe = 1024 * 1024;
// One thread, and the sink has done with it when it returns. Untouched pages cost nothing.
alignas(4096) char chunk[kChunk];

}  // namespace

OutputPump::OutputPump(EventLoop& loop, UniqueFd fd, std::function<void(std::string_view)> sink,
                       std::function<void()> ended)
    : loop_(loop), fd_(std::move(fd)), sink_(std::move(sink)), ended_(std::move(ended)) {
  if (::fcntl(fd_.get(), F_SETFL, O_NONBLOCK) < 0) fail_errno("make the output of a program non-blocking");
  set_watched(true);
}

void OutputPump::set_paused(bool paused) {
  paused_ = paused;
  set_watched(!paused);
}

// Not by an empty event mask: EPOLLHUP would come again and again.
void OutputPump::set_watched(bool watched) {
  if (watched == watched_ || !fd_) return;
  if (watched)
    loop_.add(fd_.get(), EPOLLIN, *this);
  else
    loop_.remove(fd_.get(), *this);
  watched_ = watched;
}

void OutputPump::on_events(std::uint32_t) {
  // Two rounds: more would starve the others, one would ask epoll once a chunk.
  for (int round = 0; round < 2 && fd_ && !paused_; ++round)
    if (!read_some()) return;
}

void OutputPump::drain() {
  for (int bytes = 0; bytes < 2 * kLargePipe && fd_ && read_some(); bytes += kDefaultPipe) {
  }
}

bool OutputPump::read_some() {
  ssize_t got = 0;
  do {
    got = ::read(fd_.get(), chunk, sizeof chunk);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) return false;
  if (got <= 0) {  // a terminal whose other side is closed says EIO
    close();
    ended_();
    return false;
  }
  // A program that fills its pipe runs faster with a large one; the others need not have it.
  if (got >= kDefaultPipe && !enlarged_) {
    enlarged_ = true;
    ::fcntl(fd_.get(), F_SETPIPE_SZ, kLargePipe);
  }
  sink_({chunk, static_cast<std::size_t>(got)});
  return true;
}

void OutputPump::close() {
  set_watched(false);
  fd_.reset();
}

void OutputPump::release_memory() { ::madvise(chunk, sizeof chunk, MADV_DONTNEED); }

}  // namespace bryo::monitor

#include "registry/curl_channel.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <new>

#include "base/strings.hpp"

namespace bryo::registry {

namespace {

std::size_t index_of(Reach reach) { return static_cast<std::size_t>(reach); }

void initialise_once() {
  static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (done != CURLE_OK) throw std::bad_alloc();
}

// A socket whose other end is in this process, as libcurl's wake-up pair is.
bool is_own_socketpair(int fd) {
  struct ucred peer = {};
  socklen_t size = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == ::getpid();
}

// libcurl 7.88 makes that pair without close-on-exec, and programs are started from other
// threads: it is marked as soon as it is there. Nobody else in this program makes descriptors without the mark.
void mark_wakeup_sockets() {
  DIR* directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return;
  while (const auto* entry = ::readdir(directory)) {
    const auto fd = parse_integer<int>(entry->d_name);
    if (!fd || *fd <= STDERR_FILENO || *fd == ::dirfd(directory)) continue;
    const int flags = ::fcntl(*fd, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0 && is_own_socketpair(*fd)) ::fcntl(*fd, F_SETFD, flags | FD_CLOEXEC);
  }
  ::closedir(directory);
}

}  // namespace

CurlChannel::CurlChannel() : multi(nullptr), easy(nullptr) {
  initialise_once();
  multi = curl_multi_init();
  easy = multi != nullptr ? curl_easy_init() : nullptr;
  if (easy != nullptr) {
    mark_wakeup_sockets();
    return;
  }
  if (multi != nullptr) curl_multi_cleanup(multi);
  throw std::bad_alloc();
}

CurlChannel::~CurlChannel() {
  curl_multi_remove_handle(multi, easy);
  curl_easy_cleanup(easy);
  curl_multi_cleanup(multi);
}

std::unique_ptr<CurlChannel> ChannelPool::take(Reach reach) {
  {
    const std::lock_guard lock(mutex_);
    auto& idle = idle_[index_of(reach)];
    if (!idle.empty()) {
      auto channel = std::move(idle.back());
      idle.pop_back();
      return channel;
    }
  }
  return std::make_unique<CurlChannel>();
}

void ChannelPool::give_back(Reach reach, std::unique_ptr<CurlChannel> channel) {
  const std::lock_guard lock(mutex_);
  auto& idle = idle_[index_of(reach)];
  if (idle.size() < kMaxIdle) idle.push_back(std::move(channel));
}

void ChannelPool::clear() {
  std::vector<std::unique_ptr<CurlChannel>> closing;
  const std::lock_guard lock(mutex_);
  for (auto& idle : idle_) {
    std::ranges::move(idle, std::back_inserter(closing));
    idle.clear();
  }
}

}  // namespace bryo::registry

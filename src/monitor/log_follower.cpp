#include "monitor/log_follower.hpp"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"

namespace bryo::monitor {
namespace {

constexpr std::uint64_t kWakeKey = 1;
constexpr std::uint64_t kInotifyKey = 2;
// Batches before the others get their turn.
constexpr int kFairBatches = 32;

void add_to(const UniqueFd& epoll, int fd, std::uint32_t events, std::uint64_t key) {
  epoll_event event{events, {.u64 = key}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) < 0) fail_errno("epoll_ctl in the log follower");
}

void change_in(const UniqueFd& epoll, int fd, std::uint32_t events, std::uint64_t key) {
  epoll_event event{events, {.u64 = key}};
  ::epoll_ctl(epoll.get(), EPOLL_CTL_MOD, fd, &event);
}

}  // namespace

LogFollower::Loop::Loop()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      inotify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!epoll_ || !inotify_ || !wake_) fail_errno("make the log follower's epoll and inotify");
  add_to(epoll_, wake_.get(), EPOLLIN, kWakeKey);
  add_to(epoll_, inotify_.get(), EPOLLIN, kInotifyKey);
  thread_ = std::thread([this] { run(); });
  ::pthread_setname_np(thread_.native_handle(), "log-follower");
}

LogFollower::Loop::~Loop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  thread_.join();
}

UniqueFd LogFollower::Loop::follow(const std::string& container_id, const std::string& path, const LogQuery& query) {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) fail_errno("make a socket pair for logs");
  Follower follower;
  follower.socket.reset(fds[0]);
  UniqueFd theirs(fds[1]);
  follower.container_id = container_id;
  follower.until = query.until;
  follower.reader = std::make_unique<LogReader::State>(path, query);
  {
    const std::lock_guard lock(mutex_);
    new_.push_back(std::move(follower));
  }
  wake();
  return theirs;
}

void LogFollower::Loop::finish(const std::string& container_id) {
  {
    const std::lock_guard lock(mutex_);
    finished_.push_back(container_id);
  }
  wake();
}

void LogFollower::Loop::wake() {
  const std::uint64_t one = 1;
  static_cast<void>(::write(wake_.get(), &one, sizeof one) < 0);
}

void LogFollower::Loop::run() {
  epoll_event events[64];
  while (true) {
    const int count = ::epoll_wait(epoll_.get(), events, 64, busy_.empty() ? milliseconds_to_until() : 0);
    for (int i = 0; i < count; ++i) {
      const Key key = events[i].data.u64;
      if (key == kWakeKey) {
        std::uint64_t times = 0;
        static_cast<void>(::read(wake_.get(), &times, sizeof times) < 0);
        accept_new();
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
      } else if (key == kInotifyKey) {
        on_inotify();
      } else {
        on_socket(key, events[i].events);
      }
    }
    std::vector<Key> busy;
    busy.swap(busy_);
    for (const Key key : busy) pump(key);
    end_expired();
  }
}

void LogFollower::Loop::accept_new() {
  std::vector<Follower> fresh;
  std::vector<std::string> finished;
  {
    const std::lock_guard lock(mutex_);
    fresh.swap(new_);
    finished.swap(finished_);
  }
  for (Follower& follower : fresh) {
    const Key key = next_key_++;
    add_to(epoll_, follower.socket.get(), 0, key);
    followers_.emplace(key, std::move(follower));
    busy_.push_back(key);
  }
  // After the new ones: finish() that was called after follow() is about them too.
  for (const std::string& id : finished)
    for (auto& [key, follower] : followers_)
      if (follower.container_id == id) {
        follower.finished = true;
        busy_.push_back(key);
      }
}

void LogFollower::Loop::on_inotify() {
  alignas(inotify_event) char buffer[4096];
  while (true) {
    const ssize_t size = ::read(inotify_.get(), buffer, sizeof buffer);
    if (size <= 0) return;
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof *event + event->len);
      const auto found = watches_.find(event->wd);
      if (found == watches_.end()) continue;
      for (const Key key : found->second)
        if (std::find(busy_.begin(), busy_.end(), key) == busy_.end()) busy_.push_back(key);
    }
  }
}

void LogFollower::Loop::on_socket(Key key, std::uint32_t events) {
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    remove(key);
    return;
  }
  const auto found = followers_.find(key);
  if (found == followers_.end()) return;
  found->second.blocked = false;
  pump(key);
}

void LogFollower::Loop::pump(Key key) {
  const auto found = followers_.find(key);
  if (found == followers_.end() || found->second.blocked) return;
  Follower& follower = found->second;
  try {
    for (int batch = 0; batch < kFairBatches; ++batch) {
      if (!send_pending(key, follower)) return;
      if (!read_more(key, follower)) return;
    }
    busy_.push_back(key);
  } catch (const Error&) {
    remove(key);  // the log was taken away from under the reader: end-of-file is all that a stream can say
  }
}

bool LogFollower::Loop::send_pending(Key key, Follower& follower) {
  while (follower.sent < follower.pending.size()) {
    const ssize_t count = ::send(follower.socket.get(), follower.pending.data() + follower.sent,
                                 follower.pending.size() - follower.sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      follower.blocked = true;
      change_in(epoll_, follower.socket.get(), EPOLLOUT, key);
      return false;
    }
    if (count < 0) {
      remove(key);
      return false;
    }
    follower.sent += static_cast<std::size_t>(count);
  }
  follower.sent = 0;
  follower.pending.clear();
  change_in(epoll_, follower.socket.get(), 0, key);
  return true;
}

bool LogFollower::Loop::read_more(Key key, Follower& follower) {
  // Watch first, read then: what is written in between is either read or told.
  watch_file(key, follower);
  if (follower.reader->next(follower.pending)) return true;
  if (follower.watched != follower.reader->file_number()) return true;  // it went on to the next file, not watched yet
  if (follower.reader->past_until()) {
    remove(key);
    return false;
  }
  if (follower.reader->follow_rotation()) {
    return true;
  }
  if (follower.finished) {
    remove(key);
    return false;
  }
  // Many followers wait for most of the time: none keeps a buffer meanwhile.
  std::string().swap(follower.pending);
  follower.reader->rest();
  return false;
}

void LogFollower::Loop::watch_file(Key key, Follower& follower) {
  if (follower.watch >= 0 && follower.watched == follower.reader->file_number()) return;
  unwatch_file(key, follower);
  follower.watched = follower.reader->file_number();
  // By descriptor, so that it is this very file, whatever its name is now.
  const auto path = fmt::format("/proc/self/fd/{}", follower.reader->live_file());
  follower.watch = ::inotify_add_watch(inotify_.get(), path.c_str(), IN_MODIFY | IN_MOVE_SELF | IN_ATTRIB);
  if (follower.watch < 0) fail_errno("inotify_add_watch of a log (raise fs.inotify.max_user_watches)");
  watches_[follower.watch].push_back(key);
}

void LogFollower::Loop::unwatch_file(Key key, Follower& follower) {
  if (follower.watch < 0) return;
  auto& keys = watches_[follower.watch];
  std::erase(keys, key);
  if (keys.empty()) {
    ::inotify_rm_watch(inotify_.get(), follower.watch);
    watches_.erase(follower.watch);
  }
  follower.watch = -1;
}

void LogFollower::Loop::remove(Key key) {
  const auto found = followers_.find(key);
  if (found == followers_.end()) return;
  unwatch_file(key, found->second);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.socket.get(), nullptr);
  followers_.erase(found);
}

int LogFollower::Loop::milliseconds_to_until() const {
  std::optional<WallTime> first;
  for (const auto& [key, follower] : followers_)
    if (follower.until && !follower.finished && (!first || *follower.until < *first)) first = follower.until;
  if (!first) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*first - wall_now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

void LogFollower::Loop::end_expired() {
  const WallTime now = wall_now();
  for (auto& [key, follower] : followers_) {
    if (!follower.until || *follower.until > now || follower.finished) continue;
    follower.finished = true;  // what is there already still goes out
    busy_.push_back(key);
  }
}

LogFollower::LogFollower() : loop_(std::make_unique<Loop>()) {}
LogFollower::~LogFollower() = default;

UniqueFd LogFollower::follow(const std::string& container_id, const std::string& path, const LogQuery& query) {
  return loop_->follow(container_id, path, query);
}

void LogFollower::finish(const std::string& container_id) { loop_->finish(container_id); }

}  // namespace bryo::monitor

// What the tests of this folder share: a scratch directory, a listener that remembers, small helpers on descriptors.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "kernel/files.hpp"
#include "kernel/paths.hpp"
#include "monitor/hub.hpp"

namespace bryo::monitor::testing_support {

class ScratchDirectory {
 public:
  ScratchDirectory() {
    char name[] = "/tmp/bryo-monitor-test-XXXXXX";
    if (::mkdtemp(name) == nullptr) fail_errno("mkdtemp");
    path_ = name;
  }
  ~ScratchDirectory() { kernel::remove_tree(kernel::open_trusted("/tmp", O_RDONLY).get(), path_.substr(5)); }
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string read_text(const std::string& path) {
  return kernel::read_file(kernel::open_trusted(path, O_RDONLY).get(), 1 << 30);
}

inline void write_text(const std::string& path, std::string_view text) {
  const UniqueFd file = kernel::open_trusted(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  kernel::write_all(file.get(), std::as_bytes(std::span(text)));
}

// Until end-of-file, or until `enough` bytes. Fails by returning what came when nothing moves for ten seconds.
inline std::string read_all(int fd, std::size_t enough = SIZE_MAX) {
  std::string out;
  char block[65536];
  while (out.size() < enough) {
    pollfd wait{fd, POLLIN, 0};
    if (::poll(&wait, 1, 10'000) <= 0) break;
    const ssize_t got = ::read(fd, block, std::min(sizeof block, enough - out.size()));
    if (got <= 0) break;
    out.append(block, static_cast<std::size_t>(got));
  }
  return out;
}

inline void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put <= 0) fail_errno("write");
    text.remove_prefix(static_cast<std::size_t>(put));
  }
}

struct Streams {
  std::string out;
  std::string err;
  bool well_formed = true;
};

// Takes Docker's frames apart.
inline Streams unframe(std::string_view frames) {
  Streams streams;
  while (frames.size() >= 8) {
    std::size_t size = 0;
    for (int i = 4; i < 8; ++i) size = size << 8 | static_cast<unsigned char>(frames[static_cast<std::size_t>(i)]);
    if (frames.size() < 8 + size || (frames[0] != 1 && frames[0] != 2)) break;
    (frames[0] == 1 ? streams.out : streams.err) += frames.substr(8, size);
    frames.remove_prefix(8 + size);
  }
  streams.well_formed = frames.empty();
  return streams;
}

inline std::vector<std::byte> plain_plan(const std::vector<std::string>& arguments) {
  std::vector<std::byte> bytes;
  for (const auto& argument : arguments) {
    for (const char c : argument) bytes.push_back(static_cast<std::byte>(c));
    bytes.push_back(std::byte{0});
  }
  return bytes;
}

inline std::size_t open_descriptors() {
  const UniqueFd listing = kernel::open_trusted("/proc/self/fd", O_RDONLY | O_DIRECTORY);
  return kernel::read_directory(listing.get()).size() - 1;
}

class RecordingListener final : public MonitorListener {
 public:
  void on_exit(const std::string& id, const ExitInfo& info) override {
    const std::lock_guard lock(mutex_);
    exits_[id].push_back(info);
    changed_.notify_all();
  }
  void on_exec_exit(const std::string& id, const std::string& exec, int code) override {
    const std::lock_guard lock(mutex_);
    exec_exits_[id + "/" + exec] = code;
    changed_.notify_all();
  }
  void on_lost(const std::string& id, const std::string&) override {
    const std::lock_guard lock(mutex_);
    lost_.push_back(id);
    changed_.notify_all();
  }

  std::optional<ExitInfo> wait_exit(const std::string& id) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return !exits_[id].empty(); });
    return exits_[id].empty() ? std::nullopt : std::optional(exits_[id].front());
  }
  bool wait_exits(const std::string& id, std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return exits_[id].size() >= count; });
  }
  std::optional<int> wait_exec_exit(const std::string& id, const std::string& exec) {
    std::unique_lock lock(mutex_);
    const auto key = id + "/" + exec;
    changed_.wait_for(lock, kPatience, [&] { return exec_exits_.contains(key); });
    return exec_exits_.contains(key) ? std::optional(exec_exits_[key]) : std::nullopt;
  }
  bool wait_lost(const std::string& id) {
    std::unique_lock lock(mutex_);
    const auto has = [&] { return std::find(lost_.begin(), lost_.end(), id) != lost_.end(); };
    return changed_.wait_for(lock, kPatience, has);
  }
  std::size_t exits(const std::string& id) {
    const std::lock_guard lock(mutex_);
    return exits_[id].size();
  }
  std::size_t losses() {
    const std::lock_guard lock(mutex_);
    return lost_.size();
  }

 private:
  static constexpr std::chrono::seconds kPatience{20};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::vector<ExitInfo>> exits_;
  std::map<std::string, int> exec_exits_;
  std::vector<std::string> lost_;
};

inline std::string beside_this_program(const std::string& name) {
  const std::string self = kernel::read_link(AT_FDCWD, "/proc/self/exe");
  return self.substr(0, self.rfind('/') + 1) + name;
}

}  // namespace bryo::monitor::testing_support

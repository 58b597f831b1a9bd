#include "kernel/netns.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <exception>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"

namespace bryo::kernel {
namespace {

UniqueFd open_namespace(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) fail_errno("open {}", path);
  return fd;
}

// /proc/sys/net shows the namespace of the thread that looks, not of the mount.
std::string sysctl_path(const std::string& name) {
  if (name.find("..") != std::string::npos) fail(ErrorKind::invalid_argument, "bad sysctl name {}", printable(name));
  return "/proc/sys/net/" + name;
}

void on_a_thread(const std::function<void()>& errand) {
  std::exception_ptr failure;
  std::thread([&] {
    try {
      errand();
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

UniqueFd open_own_netns() { return open_namespace("/proc/thread-self/ns/net"); }

UniqueFd open_netns_of(pid_t pid) { return open_namespace(fmt::format("/proc/{}/ns/net", pid)); }

UniqueFd make_netns() {
  UniqueFd made;
  // unshare(2) cannot be taken back, so a thread is spent on it.
  on_a_thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) fail_errno("unshare CLONE_NEWNET");
    made = open_own_netns();
  });
  return made;
}

void enter_new_netns() {
  if (::unshare(CLONE_NEWNET) != 0) fail_errno("make a network namespace (unshare CLONE_NEWNET)");
}

UniqueFd enter_kept_netns(const std::string& file) {
  UniqueFd kept(::open(file.c_str(), O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!kept) fail_errno("open {}", file);
  if (::ioctl(kept.get(), NS_GET_NSTYPE) == CLONE_NEWNET) {
    if (::setns(kept.get(), CLONE_NEWNET) != 0) fail_errno("enter the network namespace {} (setns)", file);
    return kept;
  }
  enter_new_netns();
  if (::mount("/proc/thread-self/ns/net", file.c_str(), nullptr, MS_BIND, nullptr) != 0)
    fail_errno("keep the network namespace at {} (mount)", file);
  return open_own_netns();
}

void run_in_netns(int netns_fd, const std::function<void()>& errand) {
  on_a_thread([&] {
    if (::setns(netns_fd, CLONE_NEWNET) != 0) fail_errno("enter a network namespace (setns)");
    errand();
  });
}

bool same_netns(int a, int b) {
  struct stat first {};
  struct stat second {};
  if (::fstat(a, &first) != 0 || ::fstat(b, &second) != 0) fail_errno("fstat of a network namespace");
  return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

NetnsVisit::NetnsVisit(int netns_fd) : home_(open_own_netns()) {
  if (::setns(netns_fd, CLONE_NEWNET) != 0) fail_errno("enter the container's network namespace (setns)");
}

NetnsVisit::~NetnsVisit() {
  if (::setns(home_.get(), CLONE_NEWNET) == 0) return;
  log::error("cannot return from a container's network namespace: errno {}; ending rather than serving from there",
             errno);
  std::abort();
}

NetnsThread::NetnsThread() : thread_([this] { serve(); }) {}

NetnsThread::~NetnsThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void NetnsThread::run(const std::function<void()>& errand) {
  const std::lock_guard caller(callers_);
  std::unique_lock lock(mutex_);
  errand_ = &errand;
  changed_.notify_all();
  changed_.wait(lock, [this] { return errand_ == nullptr; });
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void NetnsThread::run_beside(const std::function<void()>& errand) {
  std::thread beside;
  std::exception_ptr failure;
  run([&] {
    beside = std::thread([&] {
      try {
        errand();
      } catch (...) {
        failure = std::current_exception();
      }
    });
  });
  beside.join();
  if (failure) std::rethrow_exception(failure);
}

void NetnsThread::serve() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || errand_ != nullptr; });
    if (errand_ == nullptr) return;
    lock.unlock();
    try {
      (*errand_)();
    } catch (...) {
      failure_ = std::current_exception();
    }
    lock.lock();
    errand_ = nullptr;
    changed_.notify_all();
  }
}

std::string get_net_sysctl(const std::string& name) {
  const std::string path = sysctl_path(name);
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return {};
  if (!fd) fail_errno("open {}", path);
  std::array<char, 4096> text{};
  const ssize_t size = ::read(fd.get(), text.data(), text.size());
  if (size < 0) fail_errno("read {}", path);
  return std::string(trim(std::string_view(text.data(), static_cast<std::size_t>(size))));
}

bool set_net_sysctl(const std::string& name, std::string_view value) {
  const std::string path = sysctl_path(name);
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return false;
  if (!fd) fail_errno("open {}", path);
  if (::write(fd.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
    fail_errno("write {} to {}", value, path);
  return true;
}

}  // namespace bryo::kernel

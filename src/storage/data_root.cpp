#include "storage/data_root.hpp"

#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "storage/directory_lock.hpp"

namespace bryo::storage {
namespace {

using kernel::Scope;

kernel::RootDirectory open_root(const std::string& path) {
  if (!path.starts_with('/')) fail(ErrorKind::invalid_argument, "data root {}: must be an absolute path", path);
  std::string prefix;
  for (const auto piece : split(path, '/')) {
    if (piece.empty()) continue;
    prefix += "/" + std::string(piece);
    kernel::try_make_directory(AT_FDCWD, prefix, prefix.size() == path.size() ? 0700 : 0755);
  }
  UniqueFd fd = kernel::open_trusted(path, O_RDONLY | O_DIRECTORY);
  const struct stat info = kernel::stat_fd(fd.get());
  if (info.st_uid != ::geteuid())
    fail(ErrorKind::permission, "data root {}: belongs to user {}, not to this one ({})", path, info.st_uid,
         ::geteuid());
  // CVE-2021-41091: whoever can enter can run the set-uid programs of every image. Set-gid would be inherited.
  if ((info.st_mode & 07077U) != 0) kernel::change_mode(fd.get(), 0700);
  return kernel::RootDirectory(std::move(fd), Scope::beneath);
}

void ensure_directory(const kernel::RootDirectory& root, const std::string& name) { root.make_directories(name, 0700); }

}  // namespace

// Deletes what is in trash/, one thing at a time, when the disk has nothing better to do.
class DataRoot::Trash {
 public:
  explicit Trash(const kernel::RootDirectory& root)
      : directory_(root.resolve("trash", O_RDONLY | O_DIRECTORY)), thread_([this] { run(); }) {
    wake();
  }
  ~Trash() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    interrupt_ = true;
    changed_.notify_all();
    thread_.join();
  }

  int fd() const { return directory_.get(); }
  std::string new_name() {
    const std::lock_guard lock(mutex_);
    return fmt::format("{}-{}", ::getpid(), ++names_) + "-" + random_hex_id().substr(0, 8);
  }
  void wake() {
    const std::lock_guard lock(mutex_);
    ++requests_;
    changed_.notify_all();
  }
  void drain() {
    std::unique_lock lock(mutex_);
    const auto wanted = requests_;
    changed_.wait(lock, [&] { return served_ >= wanted; });
  }

 private:
  void run() {
    // Idle class of the disk scheduler (ioprio_set(2)), lowest of the processor's: only for this thread.
    constexpr int kIoprioWhoProcess = 1;
    constexpr int kIoprioClassIdle = 3 << 13;
    ::syscall(SYS_ioprio_set, kIoprioWhoProcess, 0, kIoprioClassIdle);
    const struct sched_param none {};
    ::sched_setscheduler(0, SCHED_IDLE, &none);
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      const auto wanted = requests_;
      if (served_ >= wanted) {
        changed_.wait(lock);
        continue;
      }
      lock.unlock();
      empty();
      lock.lock();
      served_ = wanted;
      changed_.notify_all();
    }
    served_ = UINT64_MAX;
    changed_.notify_all();
  }

  void empty() {
    for (const auto& entry : kernel::read_directory(directory_.get())) {
      try {
        kernel::remove_tree(directory_.get(), entry.name, &interrupt_);
      } catch (const Error& error) {
        if (error.kind() == ErrorKind::cancelled) return;
        // Stays for the next start; nothing refers to it any more.
        log::warning("delete from trash: {}", error.message());
      }
    }
  }

  const UniqueFd directory_;
  std::atomic<bool> interrupt_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t requests_ = 0;  // this and below: guarded by mutex_
  std::uint64_t served_ = 0;
  std::uint64_t names_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

DataRoot::DataRoot(std::string path)
    : path_(std::move(path)), root_(open_root(path_)), lock_(lock_directory(path_, "lock")) {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  for (const char* name : {"blobs/sha256", "layers", "trash", "tmp"}) ensure_directory(root_, name);
  // Unfinished work of a crash.
  const UniqueFd temporary = root_.resolve("tmp", O_RDONLY | O_DIRECTORY);
  const UniqueFd trash = root_.resolve("trash");
  for (const auto& entry : kernel::read_directory(temporary.get()))
    kernel::rename_at(temporary.get(), entry.name, trash.get(), "tmp-" + random_hex_id().substr(0, 16));
  trash_ = std::make_unique<Trash>(root_);
}

DataRoot::~DataRoot() = default;

int DataRoot::fd() const { return root_.fd(); }
const kernel::RootDirectory& DataRoot::directory() const { return root_; }

std::string DataRoot::scoped_directory(std::string_view scope, std::string_view kind) {
  if (!scope.empty() && !kernel::is_plain_name(scope))
    fail(ErrorKind::invalid_argument, "scope \"{}\": not a directory name", printable(scope));
  const std::string relative = scope.empty() ? std::string(kind) : fmt::format("{}/{}", scope, kind);
  ensure_directory(root_, relative);
  return path_ + "/" + relative;
}

std::string DataRoot::make_temporary(std::string_view hint) {
  const std::string name = fmt::format("tmp/{}-{}", hint, random_hex_id().substr(0, 16));
  kernel::make_directory(root_.fd(), name, 0700);
  return name;
}

void DataRoot::discard(const std::string& relative) {
  const auto from = root_.resolve_parent(relative);
  const auto info = kernel::try_stat_at(from.directory.get(), from.name);
  if (!info) return;
  try {
    kernel::rename_at(from.directory.get(), from.name, trash_->fd(), trash_->new_name());
  } catch (const Error& error) {
    if (error.number() != ENOENT) throw;  // somebody else has just discarded it
  }
  trash_->wake();
}

void DataRoot::drain_trash() { trash_->drain(); }

void DataRoot::sync() { kernel::sync_filesystem(kernel::reopen(root_.fd(), O_RDONLY | O_DIRECTORY).get()); }

std::string DataRoot::backing_filesystem() const {
  return kernel::filesystem_name(kernel::filesystem_space(root_.fd()).magic);
}

void DataRoot::set_step_hook(std::function<void(std::string_view)> hook) { step_hook_ = std::move(hook); }

}  // namespace bryo::storage

#include "kernel/idmap.hpp"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/raw.hpp"
#include "kernel/signal_block.hpp"
#include "kernel/vm_clone.hpp"

namespace bryo::kernel {
namespace {

// A child in a new user namespace that only waits to be killed. It shares this process's memory until then (CLONE_VM)
// but has a small stack of its own, every signal blocked, and makes no call but ppoll(). Its end raises no SIGCHLD.
// The thread's local storage is shared, too, while the thread goes on: no sanitizer may keep its books there.
class Holder {
 public:
  Holder() {
    const SignalBlock block;
    pid_ = clone_sharing_memory(&Holder::wait_for_the_end, stack_ + sizeof stack_, CLONE_NEWUSER, &maker_);
    if (pid_ < 0) throw Error::from_errno(errno, "make a user namespace (is user.max_user_namespaces 0?)");
  }
  ~Holder() {
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, __WALL) < 0 && errno == EINTR) {
    }
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  void write_map(const char* file, const std::string& text) const {
    const std::string path = fmt::format("/proc/{}/{}", pid_, file);
    const UniqueFd fd = open_trusted(path, O_WRONLY);
    // One write: the kernel takes a map once and whole.
    if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      fail_errno("write {} \"{}\"", path, printable(text));
  }
  UniqueFd open_namespace() const { return open_trusted(fmt::format("/proc/{}/ns/user", pid_), O_RDONLY); }

 private:
  // Or for the maker's own end, by kill -9: then it is nobody's child, and nobody else ends it.
  __attribute__((no_sanitize("thread"))) static int wait_for_the_end(void* maker) {
    ::syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (::syscall(SYS_getppid) != *static_cast<const pid_t*>(maker)) ::syscall(SYS_exit, 1);
    for (;;) ::syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
  }

  pid_t maker_ = raw::own_pid();
  alignas(64) char stack_[16384];
  pid_t pid_ = -1;
};

}  // namespace

UniqueFd make_user_namespace(const std::string& uid_map, const std::string& gid_map) {
  const Holder holder;
  holder.write_map("uid_map", uid_map);
  holder.write_map("gid_map", gid_map);
  return holder.open_namespace();
}

namespace {

// A child that has joined the namespace and only waits to be killed.
class Visitor {
 public:
  explicit Visitor(int user_namespace) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail_errno("pipe");
    const UniqueFd reader(ends[0]);
    UniqueFd writer(ends[1]);
    const pid_t maker = raw::own_pid();
    pid_ = ::fork();
    if (pid_ < 0) fail_errno("fork");
    if (pid_ == 0) stay_in(user_namespace, writer.get(), maker);
    writer.reset();
    int number = 0;
    // End of file: it was killed.
    if (::read(reader.get(), &number, sizeof number) != sizeof number) number = ESRCH;
    if (number == 0) return;
    end();
    throw Error::from_errno(number, "join the user namespace to read its maps");
  }
  ~Visitor() { end(); }
  Visitor(const Visitor&) = delete;
  Visitor& operator=(const Visitor&) = delete;

  std::string map(const char* file) const {
    return read_file(open_trusted(fmt::format("/proc/{}/{}", pid_, file), O_RDONLY).get(), kMaxMap);
  }

 private:
  // 340 lines of three numbers.
  static constexpr std::size_t kMaxMap = 64 * 1024;

  [[noreturn]] static void stay_in(int user_namespace, int link, pid_t maker) {
    const int number = ::setns(user_namespace, CLONE_NEWUSER) == 0 ? 0 : errno;
    // Afterwards: new credentials may take it away.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != maker) ::_exit(1);
    if (::write(link, &number, sizeof number) != sizeof number) ::_exit(1);
    for (;;) ::pause();
  }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
  }

  pid_t pid_ = -1;
};

}  // namespace

UserNamespaceMaps read_user_namespace(int user_namespace) {
  const Visitor visitor(user_namespace);
  return {visitor.map("uid_map"), visitor.map("gid_map")};
}

std::shared_ptr<const UniqueFd> UserNamespaces::get(const std::string& uid_map, const std::string& gid_map) {
  const std::lock_guard lock(mutex_);
  const auto key = std::pair(uid_map, gid_map);
  if (const auto found = cache_.find(key); found != cache_.end()) return found->second;
  if (cache_.size() >= kMost) cache_.clear();
  auto made = std::make_shared<const UniqueFd>(make_user_namespace(uid_map, gid_map));
  cache_.emplace(key, made);
  return made;
}

UniqueFd clone_tree(int directory, const std::string& path, bool recursive) {
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW |
                         (path.empty() ? AT_EMPTY_PATH : 0) | (recursive ? AT_RECURSIVE : 0);
  UniqueFd fd(static_cast<int>(::syscall(SYS_open_tree, directory, path.c_str(), flags)));
  if (!fd) fail_errno("open_tree {}", printable(path));
  return fd;
}

namespace {

void set_mount(int mount, const struct mount_attr& attributes, bool recursive, const char* what) {
  const unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  if (::syscall(SYS_mount_setattr, mount, "", flags, &attributes, sizeof attributes) == 0) return;
  if (errno == EINVAL || errno == ENOSYS)
    fail(ErrorKind::unsupported, "mount_setattr {}: this kernel or file system cannot", what);
  fail_errno("mount_setattr {}", what);
}

}  // namespace

void idmap_mount(int mount, int user_namespace, bool recursive) {
  struct mount_attr attributes {};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<std::uint64_t>(user_namespace);
  set_mount(mount, attributes, recursive, "idmap");
}

void make_mount_read_only(int mount, bool recursive) {
  struct mount_attr attributes {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  set_mount(mount, attributes, recursive, "read-only");
}

}  // namespace bryo::kernel

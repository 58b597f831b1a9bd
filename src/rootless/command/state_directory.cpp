#include "rootless/command/state_directory.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/paths.hpp"

namespace bryo::rootless::command {
namespace {

// unix(7): a socket's name has up to 107 bytes.
constexpr std::size_t kLongestPath = 107 - sizeof("/api.sock");

std::string temporary_directory() {
  std::string path = "/tmp/bryo-rootless-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) fail_errno("make a state directory {}", path);
  return path;
}

std::string absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  std::array<char, 4096> directory{};
  if (::getcwd(directory.data(), directory.size()) == nullptr) fail_errno("getcwd");
  return std::string(directory.data()) + "/" + path;
}

std::string made(const std::string& given) {
  if (given.empty()) return temporary_directory();
  std::string path = absolute(given);
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  kernel::RootDirectory::open("/").make_directories(path, 0700);
  return path;
}

}  // namespace

StateDirectory::StateDirectory(const std::string& path) : path_(made(path)) {
  if (path_.size() > kLongestPath)
    fail(ErrorKind::invalid_argument, "the state directory {} is too long for a socket in it: at most {} letters",
         printable(path_), kLongestPath);
  const auto slash = path_.rfind('/');
  name_ = path_.substr(slash + 1);
  parent_ = kernel::open_trusted(path_.substr(0, slash + 1), O_RDONLY | O_DIRECTORY);
  directory_ = kernel::open_at(parent_.get(), name_, O_RDONLY | O_DIRECTORY);
  if (const auto owner = kernel::stat_fd(directory_.get()).st_uid; owner != ::geteuid())
    fail(ErrorKind::permission, "the state directory {} belongs to user {}", path_, owner);
  lock_ = kernel::open_at(directory_.get(), "lock", O_RDWR | O_CREAT, 0600);
  if (!kernel::try_lock(lock_.get()))
    fail(ErrorKind::conflict,
         "the state directory {} is in use by another bryo-rootless: give another with --state-dir", path_);
  remove_files({"child_pid", "api.sock", "resolv.conf", "netns"});  // of one that was killed
}

void StateDirectory::remove_files(std::initializer_list<const char*> names) const {
  for (const char* name : names) kernel::remove_tree(directory_.get(), name);
}

void StateDirectory::write_child_pid(pid_t pid) const {
  kernel::write_file_durably(directory_.get(), "child_pid", std::to_string(pid), 0444);
}

void StateDirectory::write_resolv_conf(const std::string& text) const {
  kernel::write_file_durably(directory_.get(), "resolv.conf", text, 0644);
}

void StateDirectory::remove() const noexcept {
  try {
    remove_files({"child_pid", "api.sock", "resolv.conf", "netns", "network", "lock"});
    if (kernel::read_directory(directory_.get()).empty()) kernel::unlink_at(parent_.get(), name_, AT_REMOVEDIR);
  } catch (const std::exception& error) {
    log::warning("The state directory {} is not removed: {}", path_, error.what());
  }
}

}  // namespace bryo::rootless::command

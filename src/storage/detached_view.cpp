#include "storage/detached_view.hpp"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <exception>
#include <thread>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/idmap.hpp"
#include "kernel/paths.hpp"

namespace bryo::storage {
namespace {

void move_mount(int mount, int target, const std::string& subject) {
  constexpr unsigned kFlags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  if (::syscall(SYS_move_mount, mount, "", target, "", kFlags) != 0) fail_errno("move_mount {}", printable(subject));
}

void enter_private_namespace() {
  if (::unshare(CLONE_NEWNS) != 0) fail_errno("unshare(CLONE_NEWNS)");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) fail_errno("make mounts private");
}

UniqueFd find_destination(const kernel::RootDirectory& root, const ViewMount& mount, bool make) {
  if (auto there = root.try_resolve(mount.destination, O_PATH)) return std::move(*there);
  if (!make) fail(ErrorKind::not_found, "mount point {} is not there", printable(mount.destination));
  if (S_ISDIR(kernel::stat_fd(mount.source.get()).st_mode)) return root.make_directories(mount.destination);
  const auto parent = root.resolve_parent(mount.destination);
  return kernel::open_at(parent.directory.get(), parent.name, O_RDWR | O_CREAT | O_NOFOLLOW, 0644);
}

void attach(const kernel::RootDirectory& root, const ViewMount& mount, bool make) {
  const UniqueFd target = find_destination(root, mount, make);
  const bool source_is_directory = S_ISDIR(kernel::stat_fd(mount.source.get()).st_mode);
  if (S_ISDIR(kernel::stat_fd(target.get()).st_mode) != source_is_directory)
    fail(ErrorKind::conflict, "cannot mount {} at {}: one is a directory and the other is not",
         source_is_directory ? "a directory" : "a file", printable(mount.destination));
  if (mount.read_only) kernel::make_mount_read_only(mount.source.get());
  move_mount(mount.source.get(), target.get(), mount.destination);
}

// In the private namespace. Mounts are attached there, over "/", and the stack of them is cloned out of it.
UniqueFd assemble(const ViewRequest& request) {
  UniqueFd root = request.make();
  if (request.extra == nullptr || request.extra->empty()) {
    if (request.read_only) kernel::make_mount_read_only(root.get());
    return root;
  }
  enter_private_namespace();
  const UniqueFd slash = kernel::open_trusted("/", O_PATH | O_DIRECTORY);
  move_mount(root.get(), slash.get(), "the container's root");
  const kernel::RootDirectory tree(std::move(root));
  for (const ViewMount& mount : *request.extra) attach(tree, mount, request.make_destinations);
  UniqueFd view = kernel::clone_tree(tree.fd(), "", true);
  if (request.read_only) kernel::make_mount_read_only(view.get());
  return view;
}

}  // namespace

UniqueFd make_detached_view(const ViewRequest& request) {
  UniqueFd view;
  std::exception_ptr failure;
  std::thread([&] {
    try {
      view = assemble(request);
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
  return view;
}

}  // namespace bryo::storage

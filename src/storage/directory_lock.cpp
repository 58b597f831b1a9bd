#include "storage/directory_lock.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <span>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"

namespace bryo::storage {

UniqueFd lock_directory(const std::string& directory, const std::string& name) {
  const UniqueFd parent = kernel::open_trusted(directory, O_RDONLY | O_DIRECTORY);
  UniqueFd lock = kernel::open_at(parent.get(), name, O_RDWR | O_CREAT, 0600);
  if (!kernel::try_lock(lock.get())) {
    const std::string owner = kernel::read_file(lock.get(), 64);
    fail(ErrorKind::conflict,
         "data root {} is in use by another engine (process {}): stop it, or give this one another --data-root",
         directory, owner.empty() ? "unknown" : printable(trim(owner)));
  }
  if (::ftruncate(lock.get(), 0) != 0) fail_errno("truncate {}/{}", directory, name);
  const std::string pid = std::to_string(::getpid()) + "\n";
  kernel::write_all(lock.get(), std::as_bytes(std::span(pid)));
  return lock;
}

}  // namespace bryo::storage

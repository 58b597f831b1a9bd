#include "rootless/usernet/confine.hpp"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/resource.h>

#include "kernel/confinement.hpp"
#include "kernel/files.hpp"
#include "kernel/mounts.hpp"

namespace bryo::rootless::usernet {
namespace {

// A connection is a descriptor and up to 2 x 128 KiB of libslirp's buffers.
constexpr std::uint64_t kMostSockets = 16384;

}  // namespace

EmptyRoot::EmptyRoot() {
  kernel::NewFilesystem files("tmpfs");
  files.option("mode=0755");
  files.option("size=64k");
  files.option("nr_inodes=16");
  mount_ = files.mount(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  kernel::make_directory(mount_.get(), "etc", 0755);
  etc_ = kernel::open_at(mount_.get(), "etc", O_RDONLY | O_DIRECTORY);
}

void EmptyRoot::put_resolver_file(const std::string& text) const {
  kernel::write_file_durably(etc_.get(), "resolv.conf", text, 0644);
}

void EmptyRoot::close() {
  etc_.reset();
  mount_.reset();
}

void confine(EmptyRoot root) {
  kernel::enter_root(root.mount());
  root.close();
  kernel::raise_resource(RLIMIT_NOFILE, kMostSockets);
  kernel::limit_resource(RLIMIT_NOFILE, kMostSockets);
  kernel::limit_resource(RLIMIT_CORE, 0);
  kernel::limit_resource(RLIMIT_NPROC, 0);
  kernel::limit_resource(RLIMIT_MEMLOCK, 0);
  kernel::limit_resource(RLIMIT_MSGQUEUE, 0);
  kernel::make_undumpable();
  kernel::keep_capabilities(0);
  kernel::forbid_new_privileges();
  allow_only_needed_system_calls();
}

}  // namespace bryo::rootless::usernet

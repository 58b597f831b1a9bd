#include "storage/fuse_overlay.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/mounts.hpp"
#include "kernel/start_program.hpp"

namespace bryo::storage {
namespace {

constexpr const char* kName = "fuse-overlayfs";
constexpr const char* kDevice = "/dev/fuse";
constexpr int kDeviceThere = 3;
constexpr int kErrorsThere = 2;
constexpr int kPatience = 30'000;  // milliseconds: it opens every layer before it answers
constexpr std::size_t kMostErrors = 4096;

void append(std::string& list, const std::string& path) {
  if (path.find_first_of(",:\\") != std::string::npos)
    fail(ErrorKind::invalid_argument,
         "{} cannot use {}: commas, colons and backslashes separate its options; choose another data root", kName,
         printable(path));
  if (!list.empty()) list += ':';
  list += path;
}

std::string options_of(const FuseOverlayLayers& layers) {
  std::string lower;
  for (const std::string& path : layers.lower) append(lower, path);
  // Without the kernel's cache of writes: `docker commit` and `docker diff` read the upper directory of a container
  // that runs, and must find there what the container has written.
  std::string text = "writeback=0,lowerdir=" + lower;
  if (layers.upper.empty()) return text;
  std::string upper;
  std::string work;
  append(upper, layers.upper);
  append(work, layers.work);
  return text + ",upperdir=" + upper + ",workdir=" + work;
}

// The container's processes have other ids than the engine (allow_other), and modes count (default_permissions).
UniqueFd mount_device(int device) {
  kernel::NewFilesystem fuse("fuse");
  fuse.option("source", kName);
  fuse.option("subtype", kName);
  fuse.option("fd", std::to_string(device));
  fuse.option("rootmode", "40000");
  fuse.option("user_id", std::to_string(::geteuid()));
  fuse.option("group_id", std::to_string(::getegid()));
  fuse.option("default_permissions");
  fuse.option("allow_other");
  return fuse.mount(0);
}

std::string last_line(int errors) {
  std::string text = kernel::read_file(kernel::reopen(errors, O_RDONLY).get(), kMostErrors);
  std::string line;
  for (const std::string_view one : split(text, '\n'))
    if (!trim(one).empty()) line = trim(one);
  return line;
}

}  // namespace

std::string fuse_overlayfs_program() { return kernel::find_program(kName); }

UniqueFd mount_fuse_overlay(const std::string& program, const FuseOverlayLayers& layers) {
  const std::string options = options_of(layers);
  UniqueFd device = kernel::open_at(AT_FDCWD, kDevice, O_RDWR);
  UniqueFd mount = mount_device(device.get());
  const UniqueFd errors(::memfd_create(kName, MFD_CLOEXEC));
  if (!errors) fail_errno("make room for the messages of {}", kName);
  const auto started = kernel::start_program({program,
                                              {"-o", options, fmt::format("/dev/fd/{}", kDeviceThere)},
                                              {{device.get(), kDeviceThere}, {errors.get(), kErrorsThere}}});
  // From here on only the program holds the device: when it ends, nobody waits for its answers.
  device.reset();
  // It goes on in a child of its own; the process that was started ends as soon as all is set up.
  if (!kernel::wait_for_end(started.process.get(), kPatience))
    fail(ErrorKind::unavailable, "{} did not get ready within {} seconds", program, kPatience / 1000);
  if (const int status = kernel::reap_status(started.process.get()); status != 0)
    fail(ErrorKind::unavailable, "{} ended with status {}: {}", program, status, printable(last_line(errors.get())));
  return mount;
}

}  // namespace bryo::storage

// checkpoint, restore.
#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/mounts.hpp"
#include "kernel/raw.hpp"
#include "runtime/command/context.hpp"
#include "runtime/command/criu.hpp"
#include "runtime/command/foreground.hpp"
#include "runtime/command/launch.hpp"

namespace bryo::runtime::command {
namespace {

// As runc names it, in the directory of the images: what the standard descriptors were.
constexpr const char* kDescriptors = "descriptors.json";
constexpr std::size_t kMostDescriptors = 64 * 1024;

constexpr Option kCheckpointOptions[] = {
    {"image-path", "", true},          {"work-path", "", true},        {"parent-path", "", true},
    {"leave-running", "", false},      {"tcp-established", "", false}, {"ext-unix-sk", "", false},
    {"shell-job", "", false},          {"lazy-pages", "", false},      {"status-fd", "", true},
    {"page-server", "", true},         {"file-locks", "", false},      {"pre-dump", "", false},
    {"manage-cgroups-mode", "", true}, {"empty-ns", "", true},         {"auto-dedup", "", false}};

constexpr Option kRestoreOptions[] = {{"console-socket", "", true}, {"image-path", "", true},
                                      {"work-path", "", true},      {"tcp-established", "", false},
                                      {"ext-unix-sk", "", false},   {"shell-job", "", false},
                                      {"file-locks", "", false},    {"manage-cgroups-mode", "", true},
                                      {"bundle", "b", true},        {"detach", "d", false},
                                      {"pid-file", "", true},       {"no-subreaper", "", false},
                                      {"no-pivot", "", false},      {"empty-ns", "", true},
                                      {"auto-dedup", "", false},    {"lazy-pages", "", false},
                                      {"lsm-profile", "", true},    {"lsm-mount-context", "", true}};

std::string absolute(const std::string& path) { return std::filesystem::absolute(path).lexically_normal().string(); }

// Images hold all memory of the container: what is made is closed, from the first moment on. A directory that is there
// is somebody else's business (/tmp).
void make_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  if (error) throw Error::from_errno(error.value(), "make what leads to " + path);
  kernel::try_make_directory(AT_FDCWD, path, 0700);
}

CriuPlaces places_of(const Arguments& arguments) {
  CriuPlaces out;
  out.images = absolute(arguments.value("image-path", "checkpoint"));
  out.work = arguments.has("work-path") ? absolute(arguments.value("work-path")) : out.images;
  return out;
}

void note_descriptors(const std::string& images, const std::vector<std::string>& names) {
  const UniqueFd directory = kernel::open_trusted(images, O_RDONLY | O_DIRECTORY);
  kernel::write_file_durably(directory.get(), kDescriptors, json::serialize(json::encode(names)), 0600);
}

std::vector<std::string> noted_descriptors(const std::string& images) {
  const UniqueFd directory = kernel::open_trusted(images, O_RDONLY | O_DIRECTORY);
  const UniqueFd file = kernel::open_at(directory.get(), kDescriptors, O_RDONLY);
  return json::decode<std::vector<std::string>>(json::parse(kernel::read_file(file.get(), kMostDescriptors)));
}

// CRIU wants the root to be a mount. In a mount namespace of our own it is gone with us.
void mount_root_for_criu(const std::string& rootfs) {
  namespace raw = kernel::raw;
  if (const int result = raw::unshare(CLONE_NEWNS); result < 0)
    throw Error::from_errno(-result, "make a mount namespace");
  const UniqueFd host = kernel::open_trusted("/", O_PATH | O_DIRECTORY);
  kernel::change_mount(host.get(), 0, 0, MS_SLAVE, true, "/");
  const UniqueFd place = kernel::open_trusted(rootfs, O_PATH | O_DIRECTORY);
  const UniqueFd clone(raw::open_tree(place.get(), "", OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE));
  if (clone.get() < 0) throw Error::from_errno(-clone.get(), "clone the mount of " + rootfs);
  if (const int result = raw::attach(clone.get(), place.get()); result < 0)
    throw Error::from_errno(-result, "mount " + rootfs);
}

pid_t read_pid(const std::string& path) {
  const UniqueFd file = kernel::open_trusted(path, O_RDONLY);
  const auto pid = parse_integer<pid_t>(trim(kernel::read_file(file.get(), 32)));
  if (!pid || *pid <= 0) fail(ErrorKind::internal, "criu restore: it wrote no process into {}", path);
  return *pid;
}

}  // namespace

int checkpoint_command(const Context& context, std::span<const std::string> words) {
  const Arguments arguments = Arguments::parse(words, kCheckpointOptions).exactly(1, "checkpoint");
  const ContainerState state = context.states.load(arguments.need(0, "container id"));
  const Status status = status_of(state);
  if (status == Status::created || status == Status::stopped)
    fail(ErrorKind::conflict, "Container cannot be checkpointed in {} state", to_string(status));
  const std::string program = find_criu(context.options.criu);
  const oci::RuntimeSpec spec = context.states.load_spec(state.id);
  check_criu(spec);
  const CriuPlaces places = places_of(arguments);
  make_directory(places.images);
  make_directory(places.work);
  const bool before = arguments.has("pre-dump");
  const std::vector<std::string> descriptors = descriptors_for_criu(state.pid);
  if (!before) note_descriptors(places.images, descriptors);
  run_criu(program, criu_dump_arguments(arguments, places, spec, state, descriptors),
           places.work + (before ? "/pre-dump.log" : "/dump.log"));
  if (!before && !arguments.has("leave-running")) destroy(context, state);
  return 0;
}

int restore_command(const Context& context, std::span<const std::string> words) {
  const Arguments arguments = Arguments::parse(words, kRestoreOptions).exactly(1, "restore");
  const std::string program = find_criu(context.options.criu);
  LaunchRequest request;
  request.id = arguments.need(0, "container id");
  request.bundle = arguments.value("bundle", ".");
  request.pid_file = arguments.value("pid-file");
  request.detach = arguments.has("detach");
  request.by_criu = true;
  const CriuPlaces places = places_of(arguments);
  const std::vector<std::string> inherited = noted_descriptors(places.images);
  NewContainer made(context, request);
  check_criu(made.spec());
  make_directory(places.work);
  if (!request.detach) block_forwarded_signals();
  // CRIU ends when its work is done, and what it restored becomes ours.
  if (!request.detach) adopt_orphans();
  const std::string pid_file = made.prepare_restore();
  mount_root_for_criu(made.state().rootfs);
  run_criu(program, criu_restore_arguments(arguments, places, made.spec(), made.state(), inherited, pid_file),
           places.work + "/restore.log");
  made.adopt(read_pid(pid_file));
  if (request.detach) made.keep();
  return request.detach ? 0 : attend(made.state().pid, UniqueFd());
}

}  // namespace bryo::runtime::command

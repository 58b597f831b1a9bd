#include "runtime/command/state.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/cgroups.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "oci/runtime_spec_json.hpp"

namespace bryo::runtime::command {
namespace {

constexpr std::size_t kMaxFile = 16 * 1024 * 1024;
constexpr const char* kStateFile = "state.json";
constexpr const char* kSpecFile = "config.json";
constexpr const char* kGate = "start.sock";

std::string read_all(const UniqueFd& directory, const char* name) {
  const UniqueFd fd = kernel::open_at(directory.get(), name, O_RDONLY);
  return kernel::read_file(fd.get(), kMaxFile);
}

void write_whole(const UniqueFd& directory, const std::string& name, const std::string& text) {
  const std::string temporary = name + ".new";
  const UniqueFd fd = kernel::open_at(directory.get(), temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  kernel::write_all(fd.get(), std::as_bytes(std::span(text)));
  // The state lies on a tmpfs and means nothing after a reboot, so nothing is synced.
  if (::renameat(directory.get(), temporary.c_str(), directory.get(), name.c_str()) != 0)
    fail_errno("rename {}", temporary);
}

// sun_path has 108 bytes; through /proc/self/fd every state directory is near.
struct sockaddr_un gate_address(const UniqueFd& directory) {
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = fmt::format("/proc/self/fd/{}/{}", directory.get(), kGate);
  std::memcpy(address.sun_path, path.c_str(), std::min(path.size(), sizeof address.sun_path - 1));
  return address;
}

void make_with_parents(const std::string& path) {
  for (std::size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1))
    if (::mkdir(path.substr(0, end).c_str(), 0700) != 0 && errno != EEXIST) fail_errno("make {}", path.substr(0, end));
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) fail_errno("make {}", path);
}

UniqueFd gate_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) fail_errno("socket");
  return fd;
}

}  // namespace

std::string_view to_string(Status status) {
  switch (status) {
    case Status::creating:
      return "creating";
    case Status::created:
      return "created";
    case Status::running:
      return "running";
    case Status::paused:
      return "paused";
    case Status::stopped:
      return "stopped";
  }
  return "stopped";
}

void check_id(const std::string& id) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_+-.").find(c) != std::string_view::npos;
  };
  if (id.empty() || id == "." || id == ".." || id.size() > 255 || !std::ranges::all_of(id, allowed))
    fail(ErrorKind::invalid_argument, "invalid container ID format: {}", printable(id));
}

void StateDirectory::create(const std::string& id) const {
  if (::mkdir(path(id).c_str(), 0700) == 0) return;
  // The first container of all: engines name a root of several levels that they leave to us.
  if (errno == ENOENT) {
    make_with_parents(root_);
    if (::mkdir(path(id).c_str(), 0700) == 0) return;
  }
  if (errno == EEXIST) fail(ErrorKind::conflict, "container with given ID already exists: {}", id);
  fail_errno("make {}", path(id));
}

UniqueFd StateDirectory::open(const std::string& id) const {
  check_id(id);
  UniqueFd fd(::open(path(id).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd && (errno == ENOENT || errno == ENOTDIR)) fail(ErrorKind::not_found, "container does not exist: {}", id);
  if (!fd) fail_errno("open {}", path(id));
  return fd;
}

void StateDirectory::save(const ContainerState& state, const std::string& config) const {
  const UniqueFd directory = open(state.id);
  if (!config.empty()) write_whole(directory, kSpecFile, config);
  write_whole(directory, kStateFile, json::serialize(json::encode(state)));
}

ContainerState StateDirectory::load(const std::string& id) const {
  const UniqueFd directory = open(id);
  try {
    return json::decode<ContainerState>(json::parse(read_all(directory, kStateFile)));
  } catch (const Error& error) {
    // Created by somebody who did not get far: `delete --force` clears it away.
    if (error.number() != ENOENT) throw;
    ContainerState state;
    state.id = id;
    return state;
  }
}

oci::RuntimeSpec StateDirectory::load_spec(const std::string& id) const {
  return oci::parse_runtime_spec(read_all(open(id), kSpecFile));
}

std::vector<ContainerState> StateDirectory::list() const {
  std::vector<ContainerState> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(root_.c_str()), ::closedir);
  if (!stream) return out;
  while (const struct dirent* entry = ::readdir(stream.get())) {
    if (entry->d_name[0] == '.') continue;
    try {
      out.push_back(load(entry->d_name));
    } catch (const Error&) {
      // Deleted since we read its name, or not a container's.
      continue;
    }
  }
  std::ranges::sort(out, {}, &ContainerState::id);
  return out;
}

// Not getpwuid: a static program would load the C library's modules for it.
std::string StateDirectory::owner(const std::string& id) const {
  struct stat info = {};
  if (::stat(path(id).c_str(), &info) != 0) return "";
  const std::string number = std::to_string(info.st_uid);
  const UniqueFd file(::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
  const std::string text = file ? kernel::read_file(file.get(), kMaxFile) : std::string();
  for (const std::string_view line : split(text, '\n'))
    if (const auto fields = split(line, ':'); fields.size() > 2 && fields[2] == number) return std::string(fields[0]);
  return "#" + number;
}

void StateDirectory::remove(const std::string& id) const noexcept {
  try {
    const UniqueFd directory = open(id);
    for (const char* name : {kStateFile, kSpecFile, kGate, "restored.pid", "state.json.new", "config.json.new"})
      ::unlinkat(directory.get(), name, 0);
    ::rmdir(path(id).c_str());
  } catch (const Error&) {
    // Gone already.
    return;
  }
}

UniqueFd StateDirectory::listen_at_gate(const std::string& id) const {
  const UniqueFd directory = open(id);
  UniqueFd fd = gate_socket();
  const struct sockaddr_un address = gate_address(directory);
  if (::bind(fd.get(), reinterpret_cast<const struct sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd.get(), 4) != 0)
    fail_errno("listen at the gate of {}", id);
  return fd;
}

UniqueFd StateDirectory::connect_to_gate(const std::string& id) const {
  const UniqueFd directory = open(id);
  UniqueFd fd = gate_socket();
  const struct sockaddr_un address = gate_address(directory);
  if (::connect(fd.get(), reinterpret_cast<const struct sockaddr*>(&address), sizeof address) != 0)
    fail(ErrorKind::conflict, "cannot start a container that has stopped");
  return fd;
}

UniqueFd open_init(const ContainerState& state) {
  if (state.pid <= 0) return {};
  const auto stat = kernel::process_stat(state.pid);
  if (!stat || stat->state == 'Z' || stat->state == 'X') return {};
  return kernel::open_process(state.pid, state.start_time);
}

namespace {

// A `start` that was killed may have opened the gate and told nobody.
bool has_begun(const ContainerState& state) {
  const auto stat = kernel::process_stat(state.pid);
  return stat && stat->executed;
}

}  // namespace

Status status_of(const ContainerState& state) {
  if (!open_init(state)) return Status::stopped;
  if (state.cgroups && !state.cgroup_path.empty()) {
    const auto cgroup = kernel::ContainerCgroup::open(kernel::CgroupLayout::once(), state.cgroup_path);
    if (cgroup.frozen()) return Status::paused;
  }
  return state.started || has_begun(state) ? Status::running : Status::created;
}

StateView view_of(const ContainerState& state, const oci::RuntimeSpec& spec, Status status) {
  StateView view;
  view.oci_version = spec.oci_version;
  view.id = state.id;
  view.pid = status == Status::stopped ? 0 : state.pid;
  view.status = to_string(status);
  view.bundle = state.bundle;
  view.rootfs = state.rootfs;
  view.created = state.created;
  view.annotations = spec.annotations;
  view.owner = state.owner;
  return view;
}

}  // namespace bryo::runtime::command

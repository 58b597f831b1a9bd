#include "rootless/doctor/real_host.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/strings.hpp"
#include "kernel/child.hpp"
#include "kernel/features.hpp"
#include "kernel/files.hpp"
#include "kernel/host.hpp"
#include "kernel/mountinfo_text.hpp"
#include "kernel/netns.hpp"
#include "kernel/sockets.hpp"
#include "kernel/user_namespace.hpp"

namespace bryo::rootless::doctor {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kLimit{15};
constexpr std::size_t kMaxText = 4U << 20;

ids::User caller() {
  const ids::NssAccounts accounts;
  auto user = accounts.user(::geteuid());
  if (!user) return {std::to_string(::geteuid()), ::geteuid(), ::getegid()};
  user->gid = ::getegid();
  return *user;
}

// The path, or the nearest directory above it that is there.
std::string existing(const std::string& path) {
  std::error_code error;
  fs::path at = fs::absolute(path, error);
  while (at.has_relative_path() && !fs::exists(at, error)) at = at.parent_path();
  const fs::path real = fs::canonical(at, error);
  return error ? at.string() : real.string();
}

bool lies_below(const std::string& path, const std::string& mount) {
  return mount == "/" || path == mount || path.starts_with(mount + "/");
}

// The type of the file system whose mount point is the deepest above `path`; of several mounts there, the last.
std::string type_of(std::string_view mountinfo, const std::string& path) {
  std::string type = "unknown", deepest;
  for (const std::string_view line : split(mountinfo, '\n')) {
    const auto separator = line.find(" - ");
    const auto fields = split(line, ' ');
    if (separator == std::string_view::npos || fields.size() < 5) continue;
    const std::string mount = kernel::unescape_mountinfo(fields[4]);
    if (!lies_below(path, mount) || mount.size() < deepest.size()) continue;
    deepest = mount;
    type = split(line.substr(separator + 3), ' ').front();
  }
  return type;
}

// A user namespace that has the caller's own id only.
void enter_own_id_namespace(const ids::User& user) {
  kernel::enter_new_user_namespace(
      [&](pid_t pid) {
        const auto put = [&](const char* name, const std::string& text) {
          const UniqueFd file = kernel::open_at(AT_FDCWD, fmt::format("/proc/{}/{}", pid, name), O_WRONLY);
          kernel::write_all(file.get(), std::as_bytes(std::span(text)));
        };
        put("setgroups", "deny");
        put("uid_map", fmt::format("0 {} 1\n", user.uid));
        put("gid_map", fmt::format("0 {} 1\n", user.gid));
      },
      true);
  kernel::enter_new_mount_namespace(MS_SLAVE);  // AppArmor lets the namespace be made, and nothing be done in it
}

}  // namespace

RealHost::RealHost(std::string data_root)
    : standing_(rootless::standing()), user_(caller()), data_root_(std::move(data_root)) {
  program_directory_ = fs::path(kernel::read_link(AT_FDCWD, "/proc/self/exe")).parent_path();
  if (data_root_.empty()) data_root_ = configured_data_root();
}

std::string RealHost::home() const { return variable("HOME"); }

std::string RealHost::configured_data_root() const {
  const bool user = standing_ == Standing::user;
  const auto base = [&](const char* name, const char* fallback) {
    const std::string given = variable(name);
    return given.empty() ? home() + fallback : given;
  };
  const auto config = text((user ? base("XDG_CONFIG_HOME", "/.config") : "/etc") + "/bryo/daemon.json");
  try {
    const json::Value values = config ? json::parse(*config) : json::Value();
    if (const auto* object = values.if_object())
      if (const auto* root = object->if_contains("data-root"); root != nullptr && root->is_string())
        return root->get_string().c_str();
  } catch (const Error&) {
    // bryod says what is wrong with it.
  }
  return user ? base("XDG_DATA_HOME", "/.local/share") + "/bryo" : "/var/lib/bryo";
}

std::string RealHost::variable(const std::string& name) const {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

std::optional<std::string> RealHost::text(const std::string& path) const {
  try {
    return kernel::read_file(kernel::open_trusted(path, O_RDONLY).get(), kMaxText);
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::optional<FileFacts> RealHost::file(const std::string& path) const {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  FileFacts facts{info.st_mode, info.st_uid, false};
  if (S_ISREG(info.st_mode)) {
    const UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
    facts.file_capabilities = fd && kernel::get_xattr(fd.get(), "security.capability").has_value();
  }
  return facts;
}

bool RealHost::writable(const std::string& path) const { return ::access(path.c_str(), W_OK) == 0; }

FilesystemFacts RealHost::filesystem(const std::string& path) const {
  FilesystemFacts facts;
  facts.directory = existing(path);
  facts.type = type_of(text("/proc/self/mountinfo").value_or(""), facts.directory);
  struct statvfs info {};
  if (::statvfs(facts.directory.c_str(), &info) != 0) fail_errno("look at the file system of {}", facts.directory);
  facts.nosuid = (info.f_flag & ST_NOSUID) != 0;
  facts.noexec = (info.f_flag & ST_NOEXEC) != 0;
  facts.nodev = (info.f_flag & ST_NODEV) != 0;
  facts.read_only = (info.f_flag & ST_RDONLY) != 0;
  facts.free_bytes = std::uint64_t{info.f_bavail} * info.f_frsize;
  facts.free_inodes = info.f_favail;
  facts.counts_inodes = info.f_files != 0;
  return facts;
}

std::optional<std::string> RealHost::find_program(const std::string& name) const {
  for (const char* directory : {"/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/", "/usr/local/bin/"})
    if (::access((directory + name).c_str(), X_OK) == 0) return directory + name;
  return std::nullopt;
}

SubordinateFacts RealHost::subordinate(ids::IdKind kind, const ids::User& user) const {
  SubordinateFacts facts;
  const ids::SubordinateIds ids;
  try {
    facts.free_start = ids.next_free_start();
    facts.ranges = ids.ranges(kind, user);
    facts.overlaps = ids.overlaps(kind, user, facts.ranges);
  } catch (const Error& error) {
    facts.problem = error.message();
  }
  return facts;
}

std::optional<ids::User> RealHost::account(const std::string& name) const { return ids::NssAccounts().user(name); }

std::optional<SocketOwner> RealHost::socket_owner(const std::string& path) const {
  const int pid = kernel::unix_socket_owner(AT_FDCWD, path);
  if (pid < 0) return std::nullopt;
  return SocketOwner{pid, std::string(trim(text(fmt::format("/proc/{}/comm", pid)).value_or("")))};
}

std::string RealHost::kernel_release() const { return kernel::kernel_release(); }

void RealHost::enter_namespaces() const {
  if (standing_ != Standing::user)
    kernel::enter_new_mount_namespace(MS_SLAVE);
  else if (attempt(Attempt::mapped_namespace).worked)
    become_root(maps_of(user_, ids::SubordinateIds()), {});
  else
    enter_own_id_namespace(user_);
}

Outcome RealHost::make(Attempt what) const {
  const auto in_network = [&](void (*work)()) {
    enter_namespaces();
    kernel::enter_new_netns();
    work();
  };
  const auto work = [&] {
    switch (what) {
      case Attempt::user_namespace:
        return enter_own_id_namespace(user_);
      case Attempt::mapped_namespace:
        return become_root(maps_of(user_, ids::SubordinateIds()), {});
      case Attempt::tap_device:
        return in_network(kernel::try_tap_device);
      case Attempt::bridge:
        return in_network(kernel::try_bridge);
      case Attempt::nftables:
        return in_network(kernel::try_nftables);
      case Attempt::transparent_socket:
        return in_network(kernel::try_transparent_socket);
      case Attempt::overlay:
      case Attempt::idmapped_overlay:
        enter_namespaces();
        return kernel::try_overlay(
            {existing(data_root_), !kernel::in_initial_user_namespace(), what == Attempt::idmapped_overlay});
      case Attempt::seccomp_notify:
        return kernel::try_seccomp_notify();
      case Attempt::system_calls:
        return kernel::try_new_system_calls();
      case Attempt::ping_socket:
        return kernel::try_ping_socket();
    }
  };
  const auto failure = kernel::try_in_child(work, kLimit);
  if (!failure) return {true, 0, {}};
  return {false, failure->number, failure->message};
}

const Outcome& RealHost::attempt(Attempt what) const {
  const auto known = outcomes_.find(what);
  if (known != outcomes_.end()) return known->second;
  // A child asks for this one too: it must be there before the child is made.
  if (standing_ == Standing::user && what != Attempt::mapped_namespace) attempt(Attempt::mapped_namespace);
  return outcomes_[what] = make(what);
}

}  // namespace bryo::rootless::doctor

#include "api/daemon/places.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "rootless/user_namespace.hpp"

namespace bryo::daemon {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_own_directory(const std::string& path) {
  const auto info = kernel::try_stat_at(AT_FDCWD, path);
  return info && S_ISDIR(info->st_mode) && info->st_uid == ::geteuid();
}

// Somebody else may have made it first: only a directory (no link) that is ours alone is good.
std::string make_own_directory(const std::string& path) {
  kernel::try_make_directory(AT_FDCWD, path, 0700);
  const UniqueFd directory(::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!directory || ::fstat(directory.get(), &info) != 0) fail_errno("open the runtime directory {}", path);
  if (info.st_uid != ::geteuid() || (info.st_mode & 077U) != 0)
    fail(ErrorKind::permission,
         "the runtime directory {} belongs to somebody else or is open to others: remove it, or set XDG_RUNTIME_DIR to "
         "a directory of your own",
         path);
  return path;
}

std::string runtime_directory() {
  const std::string given = variable("XDG_RUNTIME_DIR");
  if (!given.empty()) {
    if (is_own_directory(given)) return given;
    fail(ErrorKind::permission, "XDG_RUNTIME_DIR={} is no directory of yours", printable(given));
  }
  const std::uint32_t uid = ::geteuid() == 0 ? ids::value(rootless::uid_outside()) : ::geteuid();
  const std::string usual = fmt::format("/run/user/{}", uid);
  return is_own_directory(usual) ? usual : make_own_directory(fmt::format("/tmp/bryo-{}", uid));
}

// Not /etc: rootlesskit and bryo-rootless give root of the namespace a copy of it, while / is the host's.
bool is_root_of_its_files() {
  if (rootless::standing() == rootless::Standing::user) return false;
  const auto info = kernel::try_stat_at(AT_FDCWD, "/");
  return !info || info->st_uid == 0;
}

}  // namespace

Places places_of(const UserPlaces& user) {
  const std::string data = user.data_home.empty() ? user.home + "/.local/share" : user.data_home;
  const std::string config = user.config_home.empty() ? user.home + "/.config" : user.config_home;
  Places out;
  out.data_root = data + "/bryo";
  out.exec_root = user.runtime + "/bryo";
  out.config_file = config + "/bryo/daemon.json";
  out.pidfile = out.exec_root + "/bryo.pid";
  out.own_socket = out.exec_root + "/bryo.sock";
  out.docker_socket = user.runtime + "/docker.sock";
  out.cdi.insert(out.cdi.end(), {config + "/cdi", user.runtime + "/cdi"});
  return out;
}

Places places() {
  if (is_root_of_its_files()) return {};
  UserPlaces user;
  user.home = variable("HOME");
  if (user.home.empty()) fail(ErrorKind::not_found, "HOME is not set: bryod does not know where to keep images");
  user.data_home = variable("XDG_DATA_HOME");
  user.config_home = variable("XDG_CONFIG_HOME");
  user.runtime = runtime_directory();
  return places_of(user);
}

}  // namespace bryo::daemon

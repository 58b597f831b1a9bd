#include "storage/whiteouts.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <climits>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/user_namespace.hpp"

namespace bryo::storage {

namespace {

// What file systems say that have no such nodes or attributes.
bool is_refusal(int number) { return number == EPERM || number == EOPNOTSUPP; }

void make_mark(int directory, const std::string& name) {
  kernel::open_at(directory, name, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
}

}  // namespace

Whiteout parse_whiteout(std::string_view name) {
  if (!name.starts_with(kWhiteoutPrefix)) return {};
  if (name == kOpaqueName) return {Whiteout::Kind::opaque, {}};
  const std::string_view hidden = name.substr(kWhiteoutPrefix.size());
  if (hidden.starts_with(kWhiteoutPrefix)) return {Whiteout::Kind::ignored, {}};
  if (hidden.empty() || hidden == "." || hidden == "..")
    fail(ErrorKind::invalid_argument, "whiteout \"{}\" hides no name", printable(name));
  return {Whiteout::Kind::name, std::string(hidden)};
}

const char* opaque_xattr() {
  static const bool trusted = kernel::in_initial_user_namespace();
  return trusted ? "trusted.overlay.opaque" : "user.overlay.opaque";
}

bool is_whiteout(const struct stat& info) { return S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0); }

std::optional<std::string_view> hidden_by_file(std::string_view name) {
  if (!name.starts_with(kWhiteoutPrefix)) return std::nullopt;
  const std::string_view hidden = name.substr(kWhiteoutPrefix.size());
  if (hidden.empty() || hidden.starts_with(kWhiteoutPrefix)) return std::nullopt;
  return hidden;
}

bool is_hidden_by_file(int directory, const std::string& name) {
  if (name.size() + kWhiteoutPrefix.size() > NAME_MAX) return false;
  return kernel::try_stat_at(directory, std::string(kWhiteoutPrefix) + name).has_value();
}

void make_whiteout(int directory, const std::string& name) {
  try {
    kernel::make_node(directory, name, S_IFCHR, makedev(0, 0));
  } catch (const Error& error) {
    if (!is_refusal(error.number())) throw;
    make_mark(directory, std::string(kWhiteoutPrefix) + name);
  }
}

void set_opaque(int directory) {
  try {
    kernel::set_xattr(directory, opaque_xattr(), "y");
  } catch (const Error& error) {
    if (!is_refusal(error.number())) throw;
    make_mark(directory, std::string(kOpaqueName));
  }
}

bool has_opaque_attribute(int directory) {
  const auto value = kernel::get_xattr(directory, opaque_xattr());
  return value && *value == "y";
}

bool is_opaque(int directory) {
  return has_opaque_attribute(directory) || kernel::try_stat_at(directory, std::string(kOpaqueName)).has_value();
}

bool is_overlay_xattr(std::string_view name) {
  return name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.") ||
         name.starts_with("user.fuseoverlayfs.") || name == "user.containers.override_stat";
}

}  // namespace bryo::storage

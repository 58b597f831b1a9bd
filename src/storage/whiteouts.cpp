#include "storage/whiteouts.hpp"

#include <sys/sysmacros.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/user_namespace.hpp"

namespace bryo::storage {

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

void make_whiteout(int directory, const std::string& name) {
  kernel::make_node(directory, name, S_IFCHR, makedev(0, 0));
}

void set_opaque(int directory) { kernel::set_xattr(directory, opaque_xattr(), "y"); }

bool is_opaque(int directory) {
  const auto value = kernel::get_xattr(directory, opaque_xattr());
  return value && *value == "y";
}

bool is_overlay_xattr(std::string_view name) {
  return name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.");
}

}  // namespace bryo::storage

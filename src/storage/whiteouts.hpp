// How a layer says "not there any more": in an archive by names (image-spec layer.md, "Whiteouts"), on disk as
// overlayfs has it (Documentation/filesystems/overlayfs.rst): a 0:0 character device, and an attribute on directories
// that hide what is below them.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>

namespace bryo::storage {

inline constexpr std::string_view kWhiteoutPrefix = ".wh.";
inline constexpr std::string_view kOpaqueName = ".wh..wh..opq";
// trusted.overlay.opaque, or user.overlay.opaque where overlayfs is mounted with userxattr: in user namespaces.
const char* opaque_xattr();

struct Whiteout {
  enum class Kind {
    none,     // an ordinary name
    name,     // hides `name`
    opaque,   // its directory hides everything below
    ignored,  // bookkeeping of aufs (.wh..wh.plnk …)
  };
  Kind kind = Kind::none;
  std::string name;
};

// Of the last component. Error{invalid_argument} for whiteouts of "." and ".." (".wh..", ".wh...") and of nothing.
Whiteout parse_whiteout(std::string_view name);

bool is_whiteout(const struct stat& info);
void make_whiteout(int directory, const std::string& name);
void set_opaque(int directory);
bool is_opaque(int directory);
// Attributes that steer overlayfs: never from an archive, never into one.
bool is_overlay_xattr(std::string_view name);

}  // namespace bryo::storage

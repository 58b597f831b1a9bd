// How a layer says "not there any more": in an archive by names (image-spec layer.md, "Whiteouts"), on disk as
// overlayfs has it (Documentation/filesystems/overlayfs.rst): a 0:0 character device, and an attribute on directories
// that hide what is below them. Where a file system takes no such device or attribute (overlayfs itself, FUSE, ramfs)
// empty files with the archive's names stand for them. fuse-overlayfs reads and writes all these forms
// (its main.c: create_whiteout, set_fd_opaque), the kernel's overlay only the first.
#pragma once

#include <sys/stat.h>

#include <optional>
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
// The name that a file of this name hides: "a" for ".wh.a"; nullopt for every other file.
std::optional<std::string_view> hidden_by_file(std::string_view name);
// Is there a file that hides `name` of the layers below? It does not hide what its own layer has there.
bool is_hidden_by_file(int directory, const std::string& name);
// As device, else as file.
void make_whiteout(int directory, const std::string& name);
// By attribute, else by file.
void set_opaque(int directory);
bool is_opaque(int directory);
// Only as the kernel's overlay understands it: a container may call its own files as it likes.
bool has_opaque_attribute(int directory);
// Attributes that steer overlayfs or fuse-overlayfs: never from an archive, never into one.
bool is_overlay_xattr(std::string_view name);

}  // namespace bryo::storage

#include "storage/copy_attributes.hpp"

#include "kernel/files.hpp"
#include "storage/file_capability.hpp"
#include "storage/whiteouts.hpp"

namespace bryo::storage {

bool is_kept_xattr(std::string_view name) {
  return name == kCapabilityXattr || (name.starts_with("user.") && !is_overlay_xattr(name));
}

void copy_attributes(int from, const struct stat& info, int to) {
  copy_attributes(from, info, {info.st_uid, info.st_gid}, 0, to);
}

void copy_attributes(int from, const struct stat& info, const kernel::Owner& owner, std::uint32_t root, int to) {
  // chown clears set-uid bits and capabilities, so it comes first.
  kernel::change_owner(to, owner.uid, owner.gid);
  if (!S_ISLNK(info.st_mode)) kernel::change_mode(to, info.st_mode & 07777U);
  for (const auto& name : kernel::list_xattrs(from)) {
    if (!is_kept_xattr(name)) continue;
    auto value = kernel::get_xattr(from, name);
    if (!value) continue;
    if (name == kCapabilityXattr) *value = capability_of_root(*std::move(value), root);
    kernel::try_set_xattr(to, name, *value);
  }
  kernel::set_times(to, info.st_atim, info.st_mtim);
}

}  // namespace bryo::storage

#include "runtime/plan/mount_options.hpp"

#include <sys/mount.h>

#include <algorithm>

namespace bryo::runtime {
namespace {

constexpr std::uint64_t kNoSymfollow = 0x00200000;  // MOUNT_ATTR_NOSYMFOLLOW, Linux 5.14

struct Word {
  std::string_view name;
  std::uint64_t set;
  std::uint64_t clear;
};

// Every one also exists with "r" before it, for the whole tree (OCI spec 1.1). The access-time words exclude each
// other, so each clears the whole field.
constexpr Word kAttributes[] = {{"ro", MOUNT_ATTR_RDONLY, 0},
                                {"rw", 0, MOUNT_ATTR_RDONLY},
                                {"nosuid", MOUNT_ATTR_NOSUID, 0},
                                {"suid", 0, MOUNT_ATTR_NOSUID},
                                {"nodev", MOUNT_ATTR_NODEV, 0},
                                {"dev", 0, MOUNT_ATTR_NODEV},
                                {"noexec", MOUNT_ATTR_NOEXEC, 0},
                                {"exec", 0, MOUNT_ATTR_NOEXEC},
                                {"nosymfollow", kNoSymfollow, 0},
                                {"symfollow", 0, kNoSymfollow},
                                {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
                                {"diratime", 0, MOUNT_ATTR_NODIRATIME},
                                {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
                                {"norelatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
                                {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
                                {"atime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
                                {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
                                {"nostrictatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME}};

const Word* find_attribute(std::string_view name) {
  const auto* const found = std::ranges::find(kAttributes, name, &Word::name);
  return found == std::end(kAttributes) ? nullptr : found;
}

void merge(const Word& word, std::uint64_t& set, std::uint64_t& clear) {
  set = (set & ~word.clear) | word.set;
  clear = (clear & ~(word.set & ~std::uint64_t{MOUNT_ATTR__ATIME})) | word.clear;
}

bool take_attribute(const std::string& option, MountOptions& out) {
  MountAttributes& a = out.attributes;
  if (const Word* word = find_attribute(option)) {
    merge(*word, a.set, a.clear);
    return true;
  }
  // "relatime" begins with r, too: the plain words come first.
  if (!option.starts_with('r')) return false;
  const Word* word = find_attribute(std::string_view(option).substr(1));
  if (word == nullptr) return false;
  merge(*word, a.set_recursive, a.clear_recursive);
  return true;
}

// Words of mount(8) that ask for nothing: what every mount has, or how much the kernel logs. i_version is a matter of
// each file system's own since Linux 5.11; the flag that the words stood for does nothing.
bool is_void(std::string_view option) {
  constexpr std::string_view kVoid[] = {"", "defaults", "silent", "loud", "iversion", "noiversion"};
  return std::ranges::find(kVoid, option) != std::end(kVoid);
}

bool take_keyword(const std::string& option, MountOptions& out) {
  if (option == "bind" || option == "rbind") {
    out.bind = true;
    out.recursive = option == "rbind";
  } else if (option == "idmap" || option == "ridmap") {
    out.idmap = true;
    out.idmap_recursive = option == "ridmap";
  } else if (option == "tmpcopyup") {
    out.copy_up = true;
  } else if (option == "remount") {
    out.remount = true;
  } else {
    return is_void(option);
  }
  return true;
}

}  // namespace

std::uint64_t propagation_of(std::string_view word, bool& recursive) {
  constexpr std::pair<std::string_view, std::uint64_t> kWords[] = {
      {"private", MS_PRIVATE}, {"shared", MS_SHARED}, {"slave", MS_SLAVE}, {"unbindable", MS_UNBINDABLE}};
  for (const auto& [name, flag] : kWords) {
    if (word != name && !(word.size() == name.size() + 1 && word.front() == 'r' && word.substr(1) == name)) continue;
    recursive = word != name;
    return flag;
  }
  return 0;
}

MountOptions parse_mount_options(std::span<const std::string> options) {
  MountOptions out;
  for (const std::string& option : options) {
    if (take_keyword(option, out) || take_attribute(option, out)) continue;
    bool recursive = false;
    if (const std::uint64_t propagation = propagation_of(option, recursive); propagation != 0) {
      out.attributes.propagation = propagation;
      out.attributes.propagation_recursive = recursive;
      continue;
    }
    out.data.push_back(option);
  }
  return out;
}

}  // namespace bryo::runtime

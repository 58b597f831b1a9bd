#include "engine/user_lookup.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "storage/whiteouts.hpp"

namespace bryo::engine {
namespace {

constexpr std::size_t kMaxFile = 4U << 20;
constexpr std::size_t kMaxGroups = 65536;  // NGROUPS_MAX

struct PasswdEntry {
  std::string_view name;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string_view home;
};

struct GroupEntry {
  std::string_view name;
  std::uint32_t gid = 0;
  std::string_view members;
};

template <typename Visit>
void each_line(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = trim(text.substr(0, end));
    if (!line.empty() && line.front() != '#') visit(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::optional<PasswdEntry> parse_passwd(std::string_view line) {
  const auto f = split(line, ':');
  if (f.size() < 4) return std::nullopt;
  const auto uid = parse_integer<std::uint32_t>(f[2]);
  const auto gid = parse_integer<std::uint32_t>(f[3]);
  if (!uid || !gid) return std::nullopt;
  return PasswdEntry{f[0], *uid, *gid, f.size() > 5 ? f[5] : std::string_view()};
}

std::optional<GroupEntry> parse_group(std::string_view line) {
  const auto f = split(line, ':');
  if (f.size() < 3) return std::nullopt;
  const auto gid = parse_integer<std::uint32_t>(f[2]);
  if (!gid) return std::nullopt;
  return GroupEntry{f[0], *gid, f.size() > 3 ? f[3] : std::string_view()};
}

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// (uid_t)-1 means "no change" to the kernel: it is never an id.
std::uint32_t checked_number(std::string_view text, std::string_view what) {
  const auto number = parse_integer<std::uint32_t>(text);
  if (!number || *number == 4294967295U)
    fail(ErrorKind::invalid_argument, "invalid {} \"{}\": uids and gids must be in range 0-4294967294", what,
         printable(text));
  return *number;
}

std::optional<PasswdEntry> find_user(std::string_view passwd, std::string_view name, std::optional<std::uint32_t> uid) {
  std::optional<PasswdEntry> found;
  each_line(passwd, [&](std::string_view line) {
    if (found) return;
    if (const auto entry = parse_passwd(line); entry && (uid ? entry->uid == *uid : entry->name == name)) found = entry;
  });
  return found;
}

std::uint32_t find_group(std::string_view group, std::string_view wanted) {
  if (all_digits(wanted)) return checked_number(wanted, "group");
  std::optional<std::uint32_t> gid;
  each_line(group, [&](std::string_view line) {
    if (const auto entry = parse_group(line); !gid && entry && entry->name == wanted) gid = entry->gid;
  });
  if (!gid)
    fail(ErrorKind::invalid_argument, "unable to find group {}: no matching entries in group file", printable(wanted));
  return *gid;
}

std::vector<std::uint32_t> groups_of(std::string_view group, std::string_view user) {
  std::vector<std::uint32_t> gids;
  if (user.empty()) return gids;
  each_line(group, [&](std::string_view line) {
    const auto entry = parse_group(line);
    if (!entry || gids.size() >= kMaxGroups) return;
    const auto members = split(entry->members, ',');
    if (std::find(members.begin(), members.end(), user) != members.end()) gids.push_back(entry->gid);
  });
  return gids;
}

void add_unique(std::vector<std::uint32_t>& gids, std::uint32_t gid) {
  if (std::find(gids.begin(), gids.end(), gid) == gids.end()) gids.push_back(gid);
}

// Empty when missing. A directory, FIFO or device in its place counts as missing content, not as a reason to hang.
std::string read_small(const kernel::RootDirectory& root, std::string_view path) {
  const auto fd = root.try_resolve(path, O_RDONLY | O_NONBLOCK);
  if (!fd) return {};
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0) fail_errno("stat {} of the image", path);
  if (!S_ISREG(info.st_mode)) fail(ErrorKind::invalid_argument, "{} of the image is not a regular file", path);
  FdSource source(fd->get());
  try {
    return read_all(source, kMaxFile);
  } catch (const Error& error) {
    throw error.within(fmt::format("read {} of the image", path));
  }
}

// What one directory of an overlay says of /etc/<name>.
struct LayerAnswer {
  enum class Kind { found, hidden, below, unclear } kind = Kind::below;
  std::string text;
};

LayerAnswer look_into(const std::string& layer, const std::string& name) {
  using Kind = LayerAnswer::Kind;
  const UniqueFd root = kernel::open_at(AT_FDCWD, layer, O_RDONLY | O_DIRECTORY);
  const auto etc_info = kernel::try_stat_at(root.get(), "etc");
  if (storage::is_hidden_by_file(root.get(), "etc")) return {Kind::unclear, {}};
  if (!etc_info) return {storage::is_opaque(root.get()) ? Kind::unclear : Kind::below, {}};
  if (!S_ISDIR(etc_info->st_mode)) return {Kind::unclear, {}};
  const UniqueFd etc = kernel::open_at(root.get(), "etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  const auto info = kernel::try_stat_at(etc.get(), name);
  if (!info && storage::is_hidden_by_file(etc.get(), name)) return {Kind::hidden, {}};
  if (!info) return {storage::is_opaque(etc.get()) ? Kind::unclear : Kind::below, {}};
  if (storage::is_whiteout(*info)) return {Kind::hidden, {}};
  if (!S_ISREG(info->st_mode)) return {Kind::unclear, {}};
  const UniqueFd file = kernel::open_at(etc.get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  return {Kind::found, kernel::read_file(file.get(), kMaxFile)};
}

}  // namespace

std::optional<std::string> read_from_layers(const storage::RootfsDescription& rootfs, const std::string& name) {
  if (rootfs.upper.empty()) return std::nullopt;
  std::vector<std::string> layers = {rootfs.upper};
  for (const std::string& lower : rootfs.lower) layers.push_back(rootfs.layers_directory + "/" + lower);
  for (const std::string& layer : layers) {
    LayerAnswer answer = look_into(layer, name);
    if (answer.kind == LayerAnswer::Kind::unclear) return std::nullopt;
    if (answer.kind == LayerAnswer::Kind::below) continue;
    return std::move(answer.text);
  }
  return "";
}

ResolvedUser resolve_user_in(std::string_view user, const std::vector<std::string>& extra_groups,
                             std::string_view passwd, std::string_view group) {
  const auto parts = split_once(user, ':');
  const std::string_view wanted = parts ? parts->first : user;
  const std::string_view wanted_group = parts ? parts->second : std::string_view();

  ResolvedUser out;
  std::optional<PasswdEntry> entry;
  if (wanted.empty()) {
    entry = find_user(passwd, "", 0);
  } else if (all_digits(wanted)) {
    out.uid = checked_number(wanted, "user");
    entry = find_user(passwd, "", out.uid);
  } else {
    entry = find_user(passwd, wanted, std::nullopt);
    if (!entry)
      fail(ErrorKind::invalid_argument, "unable to find user {}: no matching entries in passwd file",
           printable(wanted));
  }
  if (entry) {
    out.uid = entry->uid;
    out.gid = entry->gid;
    out.home = entry->home;
    out.groups = groups_of(group, entry->name);
  }
  if (!wanted_group.empty()) {
    out.gid = find_group(group, wanted_group);
    out.groups.clear();  // an explicit group replaces what the group file says, as in Docker
  }
  // CVE-2022-36109: the primary group is one of the supplementary ones.
  out.groups.insert(out.groups.begin(), out.gid);
  std::vector<std::uint32_t> unique;
  for (const std::uint32_t gid : out.groups) add_unique(unique, gid);
  out.groups = std::move(unique);
  for (const std::string& name : extra_groups) add_unique(out.groups, find_group(group, name));
  if (out.home.empty() || out.home.front() != '/') out.home = out.uid == 0 && out.home.empty() ? "/root" : "/";
  // CVE-2022-4318: the home directory becomes an environment variable; a line break in it does not.
  if (out.home.find_first_of("\r\n") != std::string::npos || out.home.find('\0') != std::string::npos) out.home = "/";
  return out;
}

bool keeps_groups(const HostConfig& host) {
  return host.group_add && std::ranges::find(*host.group_add, kKeepGroups) != host.group_add->end();
}

void check_kept_groups(const HostConfig& host, bool rootless) {
  if (!keeps_groups(host)) return;
  if (host.group_add->size() > 1)
    fail(
        ErrorKind::invalid_argument,
        "--group-add keep-groups is not allowed with any other --group-add: the kernel lets nobody in a user namespace "
        "set groups that are not in its map, so they are kept as they are or replaced");
  if (!rootless)
    fail(ErrorKind::unsupported,
         "--group-add keep-groups is for an engine without root: this one is root's, and its groups are not the "
         "caller's. Name the groups instead (--group-add GID), or start bryod as the user");
}

std::vector<std::string> named_groups(const HostConfig& host) {
  return keeps_groups(host) ? std::vector<std::string>{} : host.group_add.value_or(std::vector<std::string>{});
}

ResolvedUser resolve_user(std::string_view user, const std::vector<std::string>& extra_groups,
                          const kernel::RootDirectory& root) {
  return resolve_user_in(user, extra_groups, read_small(root, "/etc/passwd"), read_small(root, "/etc/group"));
}

}  // namespace bryo::engine

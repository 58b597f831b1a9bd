#include "ids/remap.hpp"

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::ids {

namespace {

constexpr std::string_view kDefaultSpec = "default";
constexpr std::string_view kDefaultUser = "dockremap";  // Docker's
constexpr std::uint64_t kExpectedIds = 65536;

bool is_number(std::string_view text) { return text.find_first_not_of("0123456789") == std::string_view::npos; }

// A number is an id or an error, never a name to be looked up (CVE-2024-40635).
std::uint32_t id_of(std::string_view text, std::string_view kind) {
  const auto id = parse_integer<std::uint32_t>(text);
  if (!id || *id == kAllIds)
    fail(ErrorKind::invalid_argument, "--userns-remap: {} {} is not an id of 32 bits", kind, printable(text, 40));
  return *id;
}

void check_name(std::string_view name, std::string_view whole) {
  const auto bad = [](unsigned char c) { return c < 0x21 || c == 0x7f || c == '/' || c == ','; };
  bool wrong = name.empty() || name.size() > 256 || name.front() == '-';
  for (const char c : name) wrong = wrong || bad(static_cast<unsigned char>(c));
  if (wrong)
    fail(ErrorKind::invalid_argument, "invalid user/group specification in --userns-remap: \"{}\"",
         printable(whole, 100));
}

User find_user(const RemapSpec& spec, Accounts& accounts) {
  if (is_number(spec.user)) {
    const std::uint32_t uid = id_of(spec.user, "user id");
    if (const auto user = accounts.user(uid)) return *user;
    fail(ErrorKind::not_found,
         "--userns-remap: uid {} has no entry in /etc/passwd: add a user with this number, or name "
         "one that exists",
         uid);
  }
  if (const auto user = accounts.user(spec.user)) return *user;
  if (spec.is_default) return accounts.create_system_user(spec.user);
  fail(ErrorKind::not_found,
       "--userns-remap: user \"{}\" not found: add it (useradd --system {}), or use "
       "--userns-remap=default",
       spec.user, spec.user);
}

// Only asked for when it was given; by itself a user needs no group of its name.
std::string find_group(const RemapSpec& spec, const User& user, Accounts& accounts) {
  if (!spec.group) {
    const auto own = accounts.group(user.gid);
    return own ? own->name : user.name;
  }
  if (is_number(*spec.group)) {
    const std::uint32_t gid = id_of(*spec.group, "group id");
    if (const auto group = accounts.group(gid)) return group->name;
    fail(ErrorKind::not_found, "--userns-remap: gid {} has no entry in /etc/group", gid);
  }
  if (const auto group = accounts.group(*spec.group)) return group->name;
  fail(ErrorKind::not_found, "--userns-remap: group \"{}\" not found", *spec.group);
}

[[noreturn]] void fail_without_ranges(std::string_view user, const std::string& file) {
  fail(ErrorKind::not_found, "no subordinate ids for user \"{}\" in {}: add a line such as {}:165536:65536", user, file,
       user);
}

// Not refused: the host's files are the administrator's. But who shares ids shares files and processes.
void warn_of_overlaps(const User& user, IdKind kind, const std::vector<SubRange>& ranges, const SubordinateIds& ids,
                      std::vector<std::string>& out) {
  const std::string& file = kind == IdKind::user ? ids.sources().subuid : ids.sources().subgid;
  for (const OwnedRange& other : ids.overlaps(kind, user, ranges))
    out.push_back(fmt::format(
        "subordinate ids of user \"{}\" overlap those of \"{}\" ({}:{}:{}) in {}: each can touch what "
        "belongs to the other's containers; give one of them other ids",
        user.name, printable(other.owner, 80), printable(other.owner, 80), other.range.first, other.range.count, file));
}

IdMap user_map(const User& user, const SubordinateIds& ids, std::vector<std::string>& warnings) {
  const auto ranges = ids.ranges(IdKind::user, user);
  if (ranges.empty()) fail_without_ranges(user.name, ids.sources().subuid);
  warn_of_overlaps(user, IdKind::user, ranges, ids, warnings);
  return map_over(ranges, fmt::format("user \"{}\" in {}", user.name, ids.sources().subuid));
}

IdMap group_map(const User& user, const RemapSpec& spec, const std::string& group, const SubordinateIds& ids,
                std::vector<std::string>& warnings) {
  auto ranges = ids.ranges(IdKind::group, user);
  User owner = user;
  if (ranges.empty() && spec.group && group != user.name) {
    ranges = ids.ranges_of_name(IdKind::group, group);
    owner.name = group;
  }
  if (ranges.empty()) fail_without_ranges(user.name, ids.sources().subgid);
  warn_of_overlaps(owner, IdKind::group, ranges, ids, warnings);
  return map_over(ranges, fmt::format("user \"{}\" in {}", user.name, ids.sources().subgid));
}

void warn_if_small(const IdMap& map, std::string_view user, const std::string& file, std::vector<std::string>& out) {
  if (map.size() >= kExpectedIds) return;
  out.push_back(
      fmt::format("user \"{}\" has {} subordinate ids in {}: images expect {}; files and processes with higher "
                  "ids will not work",
                  user, map.size(), file, kExpectedIds));
}

}  // namespace

RemapSpec RemapSpec::parse(std::string_view text) {
  const auto parts = split(text, ':');
  if (parts.size() > 2)
    fail(ErrorKind::invalid_argument, "invalid user/group specification in --userns-remap: \"{}\"",
         printable(text, 100));
  for (const std::string_view part : parts) check_name(part, text);
  RemapSpec spec;
  spec.is_default = text == kDefaultSpec;
  spec.user = spec.is_default ? std::string(kDefaultUser) : std::string(parts[0]);
  if (parts.size() == 2) spec.group = std::string(parts[1]);
  return spec;
}

Remap resolve_remap(const RemapSpec& spec, Accounts& accounts, const SubordinateIds& ids) {
  const User user = find_user(spec, accounts);
  Remap remap{user.name, find_group(spec, user, accounts), {}, {}};
  if (user.uid == 0) {
    remap.maps = IdMaps::identity();
    remap.warnings.push_back("user namespaces: root cannot be remapped to itself; remapping is off");
    return remap;
  }
  if (spec.is_default && (ids.ranges(IdKind::user, user).empty() || ids.ranges(IdKind::group, user).empty()))
    ids.add_default_ranges(user);
  remap.maps.uid = user_map(user, ids, remap.warnings);
  remap.maps.gid = group_map(user, spec, remap.group, ids, remap.warnings);
  warn_if_small(remap.maps.uid, user.name, ids.sources().subuid, remap.warnings);
  warn_if_small(remap.maps.gid, user.name, ids.sources().subgid, remap.warnings);
  return remap;
}

}  // namespace bryo::ids

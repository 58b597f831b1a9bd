#include "ids/subordinate.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "base/strings.hpp"
#include "ids/libsubid.hpp"
#include "ids/shadow_lock.hpp"
#include "kernel/files.hpp"

namespace bryo::ids {

namespace {

constexpr std::size_t kMaxFile = 64U << 20;
constexpr std::uint32_t kFirstStart = 100000;  // SUB_UID_MIN of login.defs
constexpr std::uint32_t kDefaultCount = 65536;

// "" when there is no such file.
std::string read_if_there(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return {};
  if (!fd) fail_errno("read {}", path);
  FdSource source(fd.get());
  return read_all(source, kMaxFile);
}

// Everybody's ranges. Unreadable lines are of no interest here.
std::vector<OwnedRange> all_ranges(std::string_view text) {
  std::vector<OwnedRange> ranges;
  for (const std::string_view line : split(text, '\n')) {
    const auto fields = split(trim(line), ':');
    if (fields.size() != 3) continue;
    const auto first = parse_integer<std::uint32_t>(fields[1]);
    const auto count = parse_integer<std::uint32_t>(fields[2]);
    if (first && count && *count > 0) ranges.push_back({std::string(fields[0]), {HostId{*first}, *count}});
  }
  return ranges;
}

std::uint64_t end_of(const SubRange& range) { return std::uint64_t{value(range.first)} + range.count; }

std::pair<std::string, std::string> directory_and_name(const std::string& path) {
  const auto slash = path.rfind('/');
  return {path.substr(0, slash), path.substr(slash + 1)};
}

void append_line(const std::string& path, const std::string& line) {
  std::string text = read_if_there(path);
  if (!text.empty() && text.back() != '\n') text += '\n';
  text += line + '\n';
  const auto [directory, name] = directory_and_name(path);
  const UniqueFd fd = kernel::open_trusted(directory, O_RDONLY | O_DIRECTORY);
  const auto old = kernel::try_stat_at(fd.get(), name);
  kernel::write_file_durably(fd.get(), name, text, old ? old->st_mode & 07777U : 0644);
}

}  // namespace

std::vector<SubRange> SubordinateIds::ranges(IdKind kind, const User& user) const {
  if (sources_.library) return libsubid_ranges(kind, user, "files");
  if (const auto service = subid_service(read_if_there(sources_.nsswitch)))
    return libsubid_ranges(kind, user, *service);
  return parse_subordinate(read_if_there(file(kind)), file(kind), {user.name, std::to_string(user.uid)});
}

std::vector<SubRange> SubordinateIds::ranges_of_name(IdKind kind, std::string_view name) const {
  return parse_subordinate(read_if_there(file(kind)), file(kind), {std::string(name)});
}

std::vector<OwnedRange> SubordinateIds::overlaps(IdKind kind, const User& user,
                                                 const std::vector<SubRange>& ranges) const {
  std::vector<OwnedRange> out;
  if (subid_service(read_if_there(sources_.nsswitch))) return out;
  for (OwnedRange& other : all_ranges(read_if_there(file(kind)))) {
    if (other.owner == user.name || other.owner == std::to_string(user.uid)) continue;
    const bool shared = std::ranges::any_of(ranges, [&](const SubRange& own) {
      return value(own.first) < end_of(other.range) && value(other.range.first) < end_of(own);
    });
    if (shared) out.push_back(std::move(other));
  }
  return out;
}

std::uint32_t SubordinateIds::next_free_start() const {
  std::vector<SubRange> taken;
  for (const std::string& path : {sources_.subuid, sources_.subgid})
    for (const OwnedRange& other : all_ranges(read_if_there(path))) taken.push_back(other.range);
  std::ranges::sort(taken);
  std::uint64_t start = kFirstStart;
  for (const SubRange& range : taken) {
    if (value(range.first) < start + kDefaultCount && start < end_of(range)) start = end_of(range);
  }
  if (start + kDefaultCount > kAllIds)
    fail(ErrorKind::exhausted, "no {} free ids in a row in {} and {}", kDefaultCount, sources_.subuid, sources_.subgid);
  return static_cast<std::uint32_t>(start);
}

void SubordinateIds::add_default_ranges(const User& user) const {
  const ShadowLock users(sources_.subuid);
  const ShadowLock groups(sources_.subgid);
  const std::string line = fmt::format("{}:{}:{}", user.name, next_free_start(), kDefaultCount);
  for (const IdKind kind : {IdKind::user, IdKind::group})
    if (parse_subordinate(read_if_there(file(kind)), file(kind), {user.name, std::to_string(user.uid)}).empty())
      append_line(file(kind), line);
}

}  // namespace bryo::ids

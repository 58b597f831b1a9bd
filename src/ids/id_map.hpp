// Which host id stands behind an id inside a container? The answer of user_namespaces(7), as a value.
//
// HostId and ContainerId never convert into each other except through an IdMap. "Host" means: as the engine's own user
// namespace sees it. Users and groups have separate maps (IdMaps) but share these types. Everything here is a plain
// value: copy it freely, no thread or process is involved. Malformed maps throw Error{invalid_argument}.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"

namespace bryo::ids {

enum class HostId : std::uint32_t {};
enum class ContainerId : std::uint32_t {};

constexpr std::uint32_t value(HostId id) { return static_cast<std::uint32_t>(id); }
constexpr std::uint32_t value(ContainerId id) { return static_cast<std::uint32_t>(id); }
// {fmt} prints both as plain numbers.
constexpr std::uint32_t format_as(HostId id) { return value(id); }
constexpr std::uint32_t format_as(ContainerId id) { return value(id); }

// 4294967295 is (uid_t)-1, "no change" in chown(2): never an id, so this many ids exist.
inline constexpr std::uint32_t kAllIds = 4294967295U;
// What the kernel takes per file (UID_GID_MAP_MAX_EXTENTS, Linux 4.15).
inline constexpr std::size_t kMaxRanges = 340;

// size ids, from `container` on inside and from `host` on outside.
struct IdRange {
  ContainerId container{};
  HostId host{};
  std::uint32_t size = 0;
  auto operator<=>(const IdRange&) const = default;
};

class IdMap {
 public:
  // Maps nothing.
  IdMap() = default;
  // Refuses empty ranges, ranges past the last id, overlaps on either side and more than kMaxRanges. Keeps the order.
  static IdMap from_ranges(std::vector<IdRange> ranges);
  // Container ids 0 … size-1 to host ids first … first+size-1.
  static IdMap contiguous(HostId first, std::uint32_t size);
  // Every id is itself: no user namespace, or --userns=host.
  static IdMap identity();
  // The text of /proc/PID/uid_map, as the kernel prints it or as it is written.
  static IdMap parse_proc_text(std::string_view text);

  std::optional<HostId> to_host(ContainerId id) const;
  std::optional<ContainerId> to_container(HostId id) const;
  bool is_identity() const;
  // Every id that is mapped is itself: files need no other owners. True for identity() and every part of it.
  bool keeps_ids() const;
  bool empty() const { return ranges_.empty(); }
  // Number of ids mapped.
  std::uint64_t size() const;
  std::span<const IdRange> ranges() const { return ranges_; }
  // "container host size\n" for every range: what is written to /proc/PID/uid_map.
  std::string proc_text() const;
  // True when some host id is in both maps.
  bool overlaps_host(const IdMap& other) const;
  bool operator==(const IdMap&) const = default;

 private:
  std::vector<IdRange> ranges_;
};

// The two maps of a container (or of the whole engine, with --userns-remap).
struct IdMaps {
  IdMap uid;
  IdMap gid;

  static IdMaps identity() { return {IdMap::identity(), IdMap::identity()}; }
  bool is_identity() const { return uid.is_identity() && gid.is_identity(); }
  bool keeps_ids() const { return uid.keeps_ids() && gid.keeps_ids(); }
  // Host ids of the container's root; Error{invalid_argument} when id 0 is not mapped.
  HostId root_uid() const;
  HostId root_gid() const;
  // "165536.165536": the name of the directory that holds this map's containers, as Docker names it.
  std::string directory_name() const;
  bool operator==(const IdMaps&) const = default;
};

}  // namespace bryo::ids

// An id is a number; a map is an array of {containerID, hostID, size} (names of the OCI runtime spec), checked when
// read.
template <>
inline bryo::json::Value bryo::json::encode<bryo::ids::HostId>(const bryo::ids::HostId& id) {
  return Value(bryo::ids::value(id));
}
template <>
inline bryo::json::Value bryo::json::encode<bryo::ids::ContainerId>(const bryo::ids::ContainerId& id) {
  return Value(bryo::ids::value(id));
}
template <>
inline void bryo::json::decode_into<bryo::ids::HostId>(const Value& json, bryo::ids::HostId& out,
                                                       const std::string& path) {
  out = bryo::ids::HostId{decode<std::uint32_t>(json, path)};
}
template <>
inline void bryo::json::decode_into<bryo::ids::ContainerId>(const Value& json, bryo::ids::ContainerId& out,
                                                            const std::string& path) {
  out = bryo::ids::ContainerId{decode<std::uint32_t>(json, path)};
}
template <>
struct bryo::json::Fields<bryo::ids::IdRange> {
  static constexpr auto list = std::tuple{field("containerID", &ids::IdRange::container),
                                          field("hostID", &ids::IdRange::host), field("size", &ids::IdRange::size)};
};
template <>
inline bryo::json::Value bryo::json::encode<bryo::ids::IdMap>(const bryo::ids::IdMap& map) {
  return encode(std::vector<bryo::ids::IdRange>(map.ranges().begin(), map.ranges().end()));
}
template <>
inline void bryo::json::decode_into<bryo::ids::IdMap>(const Value& json, bryo::ids::IdMap& out,
                                                      const std::string& path) {
  out = bryo::ids::IdMap::from_ranges(decode<std::vector<bryo::ids::IdRange>>(json, path));
}
template <>
struct bryo::json::Fields<bryo::ids::IdMaps> {
  static constexpr auto list = std::tuple{field("uid", &ids::IdMaps::uid), field("gid", &ids::IdMaps::gid)};
};

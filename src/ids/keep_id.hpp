// --userns=keep-id[:uid=N,gid=N,size=N]: in the container, the caller is the user uid:gid (by default with the numbers
// that the caller has on the host), and the other ids come from the caller's subordinate ones. Files of the caller then
// belong to that user. For engines that run as the caller (rootless), where the caller is id 0. Podman's words.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "ids/id_map.hpp"

namespace bryo::ids {

struct KeepIdOptions {
  std::optional<std::uint32_t> uid;
  std::optional<std::uint32_t> gid;
  std::optional<std::uint32_t> size;  // container ids 0 … size-1 only

  // nullopt when `text` is not "keep-id" or "keep-id:…"; Error{invalid_argument} when it is and is malformed.
  static std::optional<KeepIdOptions> parse(std::string_view text);
};

// `outside`: what the ids of our own namespace are in its parent (outside_of_own_namespace()). Error{exhausted} when
// the wanted id is above the number of ids that there are.
IdMaps keep_id_maps(const IdMaps& outside, const KeepIdOptions& options);

}  // namespace bryo::ids

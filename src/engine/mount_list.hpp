// Binds, --mount, --tmpfs, --volumes-from and the image's VOLUMEs → one list of mounts, as Docker merges them: the
// first to name a destination wins in the order volumes-from < binds and --mount < image; two of the same level are an
// error. Pure: volumes are named, not made; host paths are not looked at.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/record.hpp"

namespace bryo::engine {

// One -v. "src:dst[:mode]" with mode = comma-separated ro, rw, z, Z, nocopy, idmap, [r]private, [r]slave, [r]shared.
// Error{invalid_argument} with Docker's text.
ResolvedMount parse_bind(std::string_view text, std::string_view volume_driver);
ResolvedMount from_mount_spec(const MountSpec& spec);
// --tmpfs /run:size=64m
ResolvedMount from_tmpfs(const std::string& destination, const std::string& options);
// "container[:ro|rw]"
struct VolumesFrom {
  std::string container;
  bool read_only = false;
};
VolumesFrom parse_volumes_from(std::string_view text);

// `inherited`: what volumes-from gave. Destinations are cleaned ("/a//b/" → "/a/b") and must be absolute and not "/".
std::vector<ResolvedMount> merge_mounts(const HostConfig& host, const std::optional<StringSet>& image_volumes,
                                        std::vector<ResolvedMount> inherited);

// "/a//b/../c/" → "/a/c", lexically: for comparing destinations, never for opening them.
std::string clean_path(std::string_view path);

}  // namespace bryo::engine

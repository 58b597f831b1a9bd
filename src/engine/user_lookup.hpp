// USER → ids, against the passwd and group files of the image's root. Docker's forms: "", name, uid, name:group,
// uid:gid …
//
// The files are the image's, so they are hostile: opened inside the root, regular files only, bounded in bytes, lines
// and groups (CVE-2025-4437, CVE-2024-9676). A number is a number, never looked up as a name (CVE-2016-3697); what does
// not fit 32 bits is an error, not a name (CVE-2024-40635).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/record.hpp"
#include "kernel/paths.hpp"
#include "storage/snapshot_driver.hpp"

namespace bryo::engine {

// Error{invalid_argument}: "unable to find user x: no matching entries in passwd file".
ResolvedUser resolve_user(std::string_view user, const std::vector<std::string>& extra_groups,
                          const kernel::RootDirectory& root);

// /etc/<name> of an overlay, read from its directories without mounting them: "" when there is none. nullopt when that
// takes more than looking (links, opaque directories, another driver): mount it then.
std::optional<std::string> read_from_layers(const storage::RootfsDescription& rootfs, const std::string& name);

// The same from texts.
ResolvedUser resolve_user_in(std::string_view user, const std::vector<std::string>& extra_groups,
                             std::string_view passwd, std::string_view group);

// --group-add keep-groups, as podman has it: the container's processes keep the supplementary groups of the engine's
// user, which no group file inside knows and no map holds.
inline constexpr std::string_view kKeepGroups = "keep-groups";
bool keeps_groups(const HostConfig& host);
// Error{invalid_argument, unsupported} when they are asked for with others, or of an engine of root's.
void check_kept_groups(const HostConfig& host, bool rootless);
// What is looked up in the image's group file.
std::vector<std::string> named_groups(const HostConfig& host);

}  // namespace bryo::engine

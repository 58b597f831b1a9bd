// What does --userns-remap mean on this host? user, user:group, uid, uid:gid, default.
//
// RemapSpec is the syntax only; resolve_remap() asks the host. As in Docker: "default" is user dockremap, made together
// with its ranges when it is missing; subordinate ids, users' and groups' alike, are looked up by the user (its number
// or its name); a group given by name that has lines of its own in subgid serves when the user has none there; "root"
// turns remapping off. Errors: invalid_argument for syntax, not_found for unknown users and missing ranges; each says
// what line to add.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ids/accounts.hpp"
#include "ids/id_map.hpp"
#include "ids/subordinate.hpp"

namespace bryo::ids {

struct RemapSpec {
  std::string user;                  // name or number
  std::optional<std::string> group;  // name or number
  bool is_default = false;           // "default" or "dockremap" may be created

  // Error{invalid_argument} `invalid user/group specification in --userns-remap: "…"`.
  static RemapSpec parse(std::string_view text);
};

struct Remap {
  std::string user;
  std::string group;
  IdMaps maps;
  // For the log and `docker info`: fewer than 65536 ids, root means off.
  std::vector<std::string> warnings;
};

Remap resolve_remap(const RemapSpec& spec, Accounts& accounts, const SubordinateIds& ids);

}  // namespace bryo::ids

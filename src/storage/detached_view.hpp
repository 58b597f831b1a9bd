// Mounts that nobody else sees: a container's root for the engine's own use (cp, export, diff, commit).
//
// Built by a short-lived thread in a mount namespace of its own; what comes out is a detached tree of mounts that lives
// as long as its descriptor. The host's mount table is never touched.
#pragma once

#include <functional>
#include <vector>

#include "base/unique_fd.hpp"
#include "storage/snapshot_driver.hpp"

namespace bryo::storage {

// Runs `make` (which gives a detached mount) in the private namespace, puts `extra` into it and returns the whole tree.
// missing_ok: mounts whose destination is not there and cannot be made are left out, else Error{not_found}.
struct ViewRequest {
  std::function<UniqueFd()> make;
  std::vector<ViewMount>* extra = nullptr;
  bool read_only = false;
  // Make missing destinations (the tree is writable).
  bool make_destinations = false;
};
UniqueFd make_detached_view(const ViewRequest& request);

}  // namespace bryo::storage

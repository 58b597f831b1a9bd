// What did a container change? Its own files against the layers below them.
//
// A visitor gets each change with the directory that holds it, parents before what is in them, names in order: docker
// diff lists it, docker commit packs it. The ways to keep changes: upper (overlayfs: only what changed is there, with
// whiteouts and opaque directories), upper_with_files (fuse-overlayfs: the same, and files may stand for both: see
// whiteouts.hpp) and copy (vfs: everything is there).
#pragma once

#include <functional>
#include <string>

#include "storage/id_shift.hpp"
#include "storage/merged_directory.hpp"
#include "storage/snapshot_driver.hpp"

namespace bryo::storage {

enum class ChangesForm { upper, upper_with_files, copy };

struct TreeChange {
  std::string path;  // "etc/passwd"
  std::string name;  // last component
  ChangeKind kind = ChangeKind::modified;
  // Itself unchanged, but something in it changed: a layer must name it, or it would get other attributes.
  bool only_parent = false;
  int directory = -1;  // holds `name`; of the container's own tree, also for what is deleted
};

// `top` is the container's own directory; it may be in use. `below` may be empty.
void for_each_change(int top, const MergedDirectory& below, const IdShift& shift, ChangesForm form,
                     const std::function<void(const TreeChange&)>& visit);

// docker diff: sorted by path. A directory that something was added to or deleted from is modified.
std::vector<PathChange> list_changes(int top, const MergedDirectory& below, const IdShift& shift, ChangesForm form);
// An OCI layer of the changes, with the archive's ids.
void pack_changes(int top, const MergedDirectory& below, const IdShift& shift, ChangesForm form, ByteSink& sink);

}  // namespace bryo::storage

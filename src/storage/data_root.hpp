// The directory that holds everything (--data-root), and its layout:
//
//   <root>/                    0700: it holds set-uid files of real root (CVE-2021-41091)
//     bryo.db  lock            records (document_store.hpp)
//     blobs/sha256/<hex>       what came from or goes to registries, as it came
//     layers/<chain id hex>/   unpacked layers, ids 0…65535 as in the image; shared by every map
//     layers/<chain id hex>-init/  mount points that the image lacks (Docker's init layer)
//     tmp/                     unfinished work; emptied at start
//     trash/                   renamed here, deleted by a background thread
//     volumes/ containers/ snapshots/         of the unmapped engine, and
//     <uid>.<gid>/volumes/ … snapshots/ …     the same for each map
//
// Files without a record are unfinished work of a crash and go to the trash at start: the record is always written
// last, and erased first (D16). Owns the trash thread. Any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"
#include "kernel/paths.hpp"

namespace bryo::storage {

class DataRoot {
 public:
  // Makes what is missing and locks it against a second engine (Error{conflict}); refuses a root that others may enter
  // and that cannot be closed.
  explicit DataRoot(std::string path);
  ~DataRoot();
  DataRoot(const DataRoot&) = delete;
  DataRoot& operator=(const DataRoot&) = delete;

  const std::string& path() const { return path_; }
  int fd() const;
  const kernel::RootDirectory& directory() const;  // Scope::beneath

  // "<root>/<scope>/<kind>" made with 0700; scope "" is the root itself. Returns its path.
  std::string scoped_directory(std::string_view scope, std::string_view kind);

  // A new empty directory below tmp/ (0700, no set-gid): its name relative to the root. Same file system as all else.
  std::string make_temporary(std::string_view hint);

  // Renames `relative` (below the root) into the trash and returns; a thread of low priority deletes it.
  void discard(const std::string& relative);
  // Blocks until the trash is empty: tests, shutdown, `system prune` that reports space.
  void drain_trash();
  // Everything written to the file system of the root so far is on disk when it returns.
  void sync();
  // "extfs": what `docker info` calls Backing Filesystem.
  std::string backing_filesystem() const;

  // Tests stop or kill the process between the steps of a change: code calls step() with the step's name after it is
  // done. To be set before any other thread uses the root.
  void set_step_hook(std::function<void(std::string_view)> hook);
  void step(std::string_view name) const {
    if (step_hook_) step_hook_(name);
  }

 private:
  class Trash;
  std::string path_;
  kernel::RootDirectory root_;
  UniqueFd lock_;
  std::function<void(std::string_view)> step_hook_;
  std::unique_ptr<Trash> trash_;
};

}  // namespace bryo::storage

// Writes the entries of a tar archive below a directory, whatever they claim to be.
//
// Names are resolved inside the tree (Scope::in_root), never by looking at the text alone: a link that leads out leads
// to the top instead (CVE-2014-9356, CVE-2026-17106), modes and owners are set by descriptor (CVE-2021-32760), a hard
// link's target is a file of the same tree. Names that climb above the top are refused. Attributes of overlayfs
// (trusted.overlay.*) in an archive are dropped: they would give an image power over the layers below it.
//
// Two uses: Layer (a fresh directory of ours; whiteouts become overlayfs's) and Upload (docker cp into a tree that may
// be alive; nothing is special). One thread; it must have the umask 0 (unmask_this_thread).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernel/paths.hpp"
#include "storage/id_shift.hpp"
#include "storage/layer_store.hpp"
#include "storage/tar_reader.hpp"

namespace bryo::storage {

struct TreeWriterOptions {
  bool layer = false;
  // Where in the tree the archive's top goes: an existing directory, "" for the top. Links below it are followed as
  // anywhere in the tree: /var/run -> /run leads to /run, not to /var/run.
  std::string base;
  std::string prefix;  // where in the tree the archive's top lies: cleaned, resolved, "" or "a/b"
  IdShift shift;
  std::optional<kernel::Owner> owner;     // container's ids, instead of the archive's
  bool no_overwrite_dir_non_dir = false;  // Error instead of replacing a directory by something else or back
  bool devices = true;                    // false: leave them out, as Docker does in user namespaces
  UnpackLimits limits;
  // Bytes of the compressed stream read so far, for limits.ratio.
  std::function<std::uint64_t()> compressed_bytes;
};

struct TreeWriterTotals {
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
  std::uint32_t max_uid = 0;
  std::uint32_t max_gid = 0;
  bool root_entry = false;
};

class TreeWriter {
 public:
  TreeWriter(const kernel::RootDirectory& root, TreeWriterOptions options);

  // Everything in the archive, then the directories' times.
  void write(TarReader& reader);
  const TreeWriterTotals& totals() const { return totals_; }

 private:
  using SharedFd = std::shared_ptr<const UniqueFd>;
  struct Place {
    SharedFd directory;
    std::string name;
    std::string path;  // cleaned, relative
  };
  // What a directory gets when nothing more is put into it.
  struct Late {
    std::string path;
    TarTime mtime;
    std::optional<std::uint32_t> mode;  // with set-gid, which new files would inherit
  };

  void count(const TarReader& reader, const TarEntry& entry);
  // A name of the archive as a path of the tree.
  std::string path_of(std::string_view name) const;
  void check_space();
  void add(TarReader& reader, const TarEntry& entry);
  void add_root(const TarEntry& entry);
  bool add_whiteout(const Place& place);

  // false: the name is taken.
  bool create(TarReader& reader, const TarEntry& entry, const Place& place);
  bool make_file(TarReader& reader, const TarEntry& entry, const Place& place);
  bool make_directory(const TarEntry& entry, const Place& place);
  bool make_hard_link(const TarEntry& entry, const Place& place);
  bool make_other(const TarEntry& entry, const Place& place);
  void clear_place(const TarEntry& entry, Place& place);

  void write_content(TarReader& reader, int fd);
  void write_regions(TarReader& reader, const TarEntry& entry, int fd);
  // Owner, then mode (chown clears set-uid), then attributes (chown clears capabilities).
  void set_attributes(const TarEntry& entry, int fd, bool fresh);
  void set_xattrs(const TarEntry& entry, int fd) const;
  kernel::Owner owner_of(const TarEntry& entry) const;
  bool must_change_owner(const kernel::Owner& owner) const;
  void finish_directory(const TarEntry& entry, int fd, const std::string& path, bool fresh);
  void flush_late();

  // Missing directories on the way are made, or with make = false Error{not_found}.
  Place locate(const std::string& path, bool make = true);
  SharedFd directory_at(const std::string& path, bool make);
  UniqueFd open_directory(const std::string& path);
  void replace_whiteouts(const std::string& path);
  std::string in_tree(const std::string& path) const;

  const kernel::RootDirectory& root_;
  const TreeWriterOptions options_;
  const kernel::Owner self_;
  TreeWriterTotals totals_;
  std::unordered_map<std::string, SharedFd> directories_;  // resolved parents, by cleaned path
  std::string last_path_;
  SharedFd last_directory_;
  std::vector<Late> late_;
  bool set_gid_seen_ = false;
  std::uint64_t checked_space_at_ = 0;
};

// "./a//b/" → "a/b"; "" is the top. Error{invalid_argument} when it climbs above it or is too deep.
std::string clean_entry_name(std::string_view name, std::uint32_t max_depth);

// Gives the calling thread file system attributes of its own (unshare(CLONE_FS)) and the umask 0: modes are then those
// asked for. For threads that belong to an unpacking, for good.
void unmask_this_thread();

}  // namespace bryo::storage

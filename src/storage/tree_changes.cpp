#include "storage/tree_changes.hpp"

#include <fcntl.h>

#include <map>
#include <set>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "storage/tar_writer.hpp"
#include "storage/tree_pack.hpp"
#include "storage/whiteouts.hpp"

namespace bryo::storage {
namespace {

constexpr std::size_t kMaxDepth = 512;

class ChangeFinder {
 public:
  ChangeFinder(const IdShift& shift, ChangesForm form, const std::function<void(const TreeChange&)>& visit)
      : shift_(shift), form_(form), visit_(visit) {}

  // `below` is nullptr where nothing lies below. `replaced`: nothing of it is seen, except what is in `top` too.
  void directory(int top, const MergedDirectory* below, const std::string& prefix, bool replaced = false) {
    if (parents_.size() > kMaxDepth)
      fail(ErrorKind::invalid_argument, "directories are nested deeper than {} at {}…", kMaxDepth,
           printable(prefix, 64));
    // Where everything is there, what is not there was deleted.
    const bool complete = below != nullptr && (replaced || hides_all_below(top));
    std::set<std::string> names;
    std::set<std::string> hidden;
    for (auto& entry : kernel::read_directory(top)) {
      if (form_ == ChangesForm::upper_with_files && entry.name.starts_with(kWhiteoutPrefix)) {
        if (const auto name = hidden_by_file(entry.name)) names.insert(*hidden.emplace(*name).first);
      } else {
        names.insert(std::move(entry.name));
      }
    }
    if (complete)
      for (auto& name : below->list()) names.insert(std::move(name));
    for (const std::string& name : names) one(top, below, name, prefix + name, complete || hidden.contains(name));
  }

 private:
  bool hides_all_below(int top) const {
    if (form_ == ChangesForm::copy) return true;
    return form_ == ChangesForm::upper ? has_opaque_attribute(top) : is_opaque(top);
  }

  // `replaced`: what is below the name is not seen.
  void one(int top, const MergedDirectory* below, const std::string& name, const std::string& path, bool replaced) {
    const UniqueFd fd(::openat(top, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!fd && errno != ENOENT) fail_errno("open {}", printable(path));
    TreeChange change{path, name, ChangeKind::deleted, false, top};
    const auto old = below != nullptr ? below->find(name) : std::nullopt;
    if (!fd) {
      if (replaced && old) emit(change);
      return;
    }
    const struct stat info = kernel::stat_fd(fd.get());
    if (form_ != ChangesForm::copy && is_whiteout(info)) {
      if (old) emit(change);
      return;
    }
    change.kind = old ? ChangeKind::modified : ChangeKind::added;
    const bool changed = !old || differs(*old, fd.get(), info);
    if (changed) emit(change);
    if (!S_ISDIR(info.st_mode)) return;
    const bool merges = old && S_ISDIR(old->info.st_mode);
    const auto next = merges ? below->descend(name) : std::nullopt;
    parents_.push_back({change, changed});
    directory(fd.get(), next ? &*next : nullptr, path + "/", replaced);
    parents_.pop_back();
  }

  bool differs(const MergedDirectory::Entry& old, int fd, const struct stat& info) const {
    const struct stat& was = old.info;
    const bool is_directory = S_ISDIR(info.st_mode);
    // overlayfs copies a file up when it is changed, but a directory also when something in it is.
    if (form_ != ChangesForm::copy && !is_directory) return true;
    const kernel::Owner owner = shift_.to_archive(info.st_uid, info.st_gid);
    if (info.st_mode != was.st_mode || owner.uid != was.st_uid || owner.gid != was.st_gid) return true;
    if (S_ISLNK(info.st_mode)) return kernel::read_link(fd, "") != kernel::read_link(old.fd.get(), "");
    // fuse-overlayfs does not give a directory its time back after copying something up into it.
    if (form_ == ChangesForm::upper_with_files && is_directory) return false;
    if (info.st_mtim.tv_sec != was.st_mtim.tv_sec || info.st_mtim.tv_nsec != was.st_mtim.tv_nsec) return true;
    if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) return info.st_rdev != was.st_rdev;
    return S_ISREG(info.st_mode) && info.st_size != was.st_size;
  }

  void emit(const TreeChange& change) {
    for (auto& [parent, emitted] : parents_) {
      if (emitted) continue;
      emitted = true;
      TreeChange implied = parent;
      implied.kind = ChangeKind::modified;
      implied.only_parent = true;
      visit_(implied);
    }
    visit_(change);
  }

  const IdShift& shift_;
  const ChangesForm form_;
  const std::function<void(const TreeChange&)>& visit_;
  std::vector<std::pair<TreeChange, bool>> parents_;  // and whether they were visited
};

}  // namespace

void for_each_change(int top, const MergedDirectory& below, const IdShift& shift, ChangesForm form,
                     const std::function<void(const TreeChange&)>& visit) {
  ChangeFinder(shift, form, visit).directory(top, below.empty() ? nullptr : &below, "");
}

std::vector<PathChange> list_changes(int top, const MergedDirectory& below, const IdShift& shift, ChangesForm form) {
  std::map<std::string, ChangeKind> changes;
  for_each_change(top, below, shift, form, [&](const TreeChange& change) {
    if (change.only_parent) return;
    changes.insert_or_assign("/" + change.path, change.kind);
    const std::size_t slash = change.path.rfind('/');
    if (change.kind != ChangeKind::modified && slash != std::string::npos)
      changes.emplace("/" + change.path.substr(0, slash), ChangeKind::modified);
  });
  std::vector<PathChange> list;
  for (auto& [path, kind] : changes) list.push_back({path, kind});
  return list;
}

void pack_changes(int top, const MergedDirectory& below, const IdShift& shift, ChangesForm form, ByteSink& sink) {
  TarWriter tar(sink);
  TreePacker packer(tar, shift, Mounts::leave_out);
  for_each_change(top, below, shift, form, [&](const TreeChange& change) {
    if (change.kind != ChangeKind::deleted) return packer.add_single(change.directory, change.name, change.path);
    TarEntry whiteout;
    whiteout.name =
        change.path.substr(0, change.path.size() - change.name.size()) + std::string(kWhiteoutPrefix) + change.name;
    whiteout.mode = 0600;
    tar.add(whiteout);
  });
  tar.finish();
}

}  // namespace bryo::storage

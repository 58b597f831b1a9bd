#include "storage/tree_copy.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "storage/copy_attributes.hpp"

namespace bryo::storage {
namespace {

constexpr int kMaxDepth = 512;

class Copier {
 public:
  Copier(int top, const CopyRules& rules) : top_(top), rules_(rules) {}

  void directory(const MergedDirectory& from, int to, const std::string& prefix, int depth) {
    if (depth > kMaxDepth)
      fail(ErrorKind::invalid_argument, "copy {}…: directories are nested deeper than {}", printable(prefix, 64),
           kMaxDepth);
    for (const auto& name : from.list()) {
      const auto entry = from.find(name);
      if (!entry) continue;
      if (S_ISDIR(entry->info.st_mode))
        subdirectory(from, *entry, name, to, prefix, depth);
      else
        other(*entry, name, to, prefix + name);
    }
  }

  void attributes(int from, const struct stat& info, int to) const {
    copy_attributes(from, info, rules_.owner(info), rules_.root, to);
  }

 private:
  void subdirectory(const MergedDirectory& from, const MergedDirectory::Entry& entry, const std::string& name, int to,
                    const std::string& prefix, int depth) {
    const auto source = from.descend(name);
    if (!source) return;
    kernel::make_directory(to, name, 0700);
    const UniqueFd target = kernel::open_at(to, name, O_RDONLY | O_DIRECTORY);
    directory(*source, target.get(), prefix + name + "/", depth + 1);
    attributes(entry.fd.get(), entry.info, target.get());
  }

  void other(const MergedDirectory::Entry& entry, const std::string& name, int to, const std::string& path) {
    const struct stat& info = entry.info;
    if (S_ISSOCK(info.st_mode) || link_known(info, to, name, path)) return;
    if (S_ISREG(info.st_mode)) {
      const UniqueFd target = kernel::open_at(to, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
      copy_content(entry.fd.get(), target.get());
      return attributes(entry.fd.get(), info, target.get());
    }
    if (S_ISLNK(info.st_mode))
      kernel::make_symlink(kernel::read_link(entry.fd.get(), ""), to, name);
    else
      kernel::make_node(to, name, info.st_mode & (S_IFMT | 0600U), info.st_rdev);
    attributes(entry.fd.get(), info, kernel::open_at(to, name, O_PATH).get());
  }

  bool link_known(const struct stat& info, int to, const std::string& name, const std::string& path) {
    if (info.st_nlink < 2) return false;
    const auto [known, fresh] = links_.emplace(std::pair{info.st_dev, info.st_ino}, path);
    if (fresh) return false;
    const UniqueFd first = kernel::open_below(top_, known->second, O_PATH | O_NOFOLLOW, 0, kernel::Scope::beneath);
    kernel::link_fd(first.get(), to, name);
    return true;
  }

  static void copy_content(int from, int to) {
    const UniqueFd source = kernel::reopen(from, O_RDONLY);
    for (;;) {
      const ssize_t copied = ::copy_file_range(source.get(), nullptr, to, nullptr, 1U << 30, 0);
      if (copied == 0) return;
      if (copied < 0) break;
    }
    // File systems that cannot: by hand, from where it stopped. A full disk says so again here.
    FdSource in(source.get());
    FdSink out(to);
    copy_all(in, out);
  }

  const int top_;
  const CopyRules& rules_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;  // and the first copy's path
};

}  // namespace

void copy_merged(const MergedDirectory& from, int to, const CopyRules& rules) {
  Copier copier(to, rules);
  copier.directory(from, to, "", 0);
  copier.attributes(from.fd(), kernel::stat_fd(from.fd()), to);
}

void copy_tree(int from, int to, const CopyRules& rules) {
  std::vector<UniqueFd> parts;
  parts.emplace_back(kernel::open_at(from, ".", O_PATH | O_DIRECTORY));
  copy_merged(MergedDirectory(std::move(parts)), to, rules);
}

}  // namespace bryo::storage

#include "storage/tree_copy.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <vector>

#include "base/error.hpp"
#include "kernel/files.hpp"
#include "storage/copy_attributes.hpp"

namespace bryo::storage {
namespace {

constexpr int kMaxDepth = 4096;

class Copier {
 public:
  explicit Copier(const OwnerOf& owner) : owner_(owner) {}

  void directory(int from, int to, int depth) {
    if (depth > kMaxDepth) fail(ErrorKind::invalid_argument, "copy: directories are nested deeper than {}", kMaxDepth);
    for (const auto& entry : kernel::read_directory(from)) one(from, entry.name, to, depth);
    const struct stat info = kernel::stat_fd(from);
    copy_attributes(from, info, owner_(info), to);
  }

 private:
  void one(int from, const std::string& name, int to, int depth) {
    const struct stat info = kernel::stat_at(from, name);
    if (S_ISDIR(info.st_mode)) {
      kernel::make_directory(to, name, 0700);
      const UniqueFd source = kernel::open_at(from, name, O_RDONLY | O_DIRECTORY);
      const UniqueFd target = kernel::open_at(to, name, O_RDONLY | O_DIRECTORY);
      directory(source.get(), target.get(), depth + 1);
      return;
    }
    if (S_ISSOCK(info.st_mode) || link_known(info, to, name)) return;
    if (S_ISREG(info.st_mode))
      copy_file(from, name, to);
    else if (S_ISLNK(info.st_mode))
      kernel::make_symlink(kernel::read_link(from, name), to, name);
    else
      kernel::make_node(to, name, info.st_mode & (S_IFMT | 0600U), info.st_rdev);
    const UniqueFd source = kernel::open_at(from, name, O_PATH);
    UniqueFd target = kernel::open_at(to, name, O_PATH);
    copy_attributes(source.get(), info, owner_(info), target.get());
    if (info.st_nlink > 1) links_.emplace(std::pair{info.st_dev, info.st_ino}, std::move(target));
  }

  bool link_known(const struct stat& info, int to, const std::string& name) {
    const auto known = info.st_nlink > 1 ? links_.find({info.st_dev, info.st_ino}) : links_.end();
    if (known == links_.end()) return false;
    kernel::link_fd(known->second.get(), to, name);
    return true;
  }

  static void copy_file(int from, const std::string& name, int to) {
    const UniqueFd source = kernel::open_at(from, name, O_RDONLY | O_NONBLOCK);
    const UniqueFd target = kernel::open_at(to, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    while (true) {
      const ssize_t copied = ::copy_file_range(source.get(), nullptr, target.get(), nullptr, 1U << 30, 0);
      if (copied == 0) return;
      if (copied < 0) break;
    }
    // Across file systems that cannot: by hand, from where it stopped.
    std::vector<std::byte> buffer(256U << 10);
    while (true) {
      const ssize_t got = ::read(source.get(), buffer.data(), buffer.size());
      if (got < 0) fail_errno("read {}", name);
      if (got == 0) return;
      kernel::write_all(target.get(), std::span(buffer).first(static_cast<std::size_t>(got)));
    }
  }

  const OwnerOf& owner_;
  std::map<std::pair<dev_t, ino_t>, UniqueFd> links_;
};

}  // namespace

void copy_tree(int from, int to, const OwnerOf& owner) { Copier(owner).directory(from, to, 0); }

}  // namespace bryo::storage

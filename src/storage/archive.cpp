#include "storage/archive.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <exception>
#include <thread>

#include <exception>
#include <thread>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/time.hpp"
#include "kernel/capabilities.hpp"
#include "kernel/files.hpp"
#include "kernel/user_namespace.hpp"
#include "storage/compression.hpp"
#include "storage/tree_pack.hpp"
#include "storage/tree_writer.hpp"

namespace bryo::storage {
namespace {

// Go's os.FileMode bits above the permissions.
constexpr std::uint32_t kGoDir = 1U << 31, kGoSymlink = 1U << 27, kGoDevice = 1U << 26, kGoPipe = 1U << 25,
                        kGoSocket = 1U << 24, kGoSetuid = 1U << 23, kGoSetgid = 1U << 22, kGoCharDevice = 1U << 21,
                        kGoSticky = 1U << 20;

bool means_directory(std::string_view path) { return path.ends_with('/') || path.ends_with("/.") || path == "."; }

std::string base_name(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  if (path.empty() || path == "/") return "/";
  return std::string(path.substr(path.rfind('/') + 1));
}

std::string mtime_of(const struct stat& info) {
  return to_rfc3339_nano(
      WallTime(std::chrono::seconds(info.st_mtim.tv_sec) + std::chrono::nanoseconds(info.st_mtim.tv_nsec)));
}

// The link itself, unless the path says that a directory is meant.
UniqueFd open_named(const kernel::RootDirectory& root, std::string_view path, bool follow) {
  const bool directory = means_directory(path);
  const int flags = O_PATH | (directory ? O_DIRECTORY : 0) | (directory || follow ? 0 : O_NOFOLLOW);
  return root.resolve(path.empty() ? std::string_view("/") : path, flags);
}

PathStat stat_of(const kernel::RootDirectory& root, std::string_view path, const struct stat& info, int fd) {
  PathStat out;
  out.name = base_name(path);
  out.size = info.st_size;
  out.mode = go_file_mode(info.st_mode);
  out.mtime = mtime_of(info);
  if (S_ISLNK(info.st_mode)) {
    const auto target = root.try_resolve(path, O_PATH);
    if (target) {
      out.link_target = root.name_of(target->get());
    } else {
      const std::string text = kernel::read_link(fd, "");
      out.link_target = text.starts_with('/') ? text : std::string(path.substr(0, path.rfind('/') + 1)) + text;
    }
  }
  return out;
}

}  // namespace

std::uint32_t go_file_mode(std::uint32_t mode) {
  std::uint32_t out = mode & 0777U;
  if ((mode & S_ISUID) != 0) out |= kGoSetuid;
  if ((mode & S_ISGID) != 0) out |= kGoSetgid;
  if ((mode & S_ISVTX) != 0) out |= kGoSticky;
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return out | kGoDir;
    case S_IFLNK:
      return out | kGoSymlink;
    case S_IFIFO:
      return out | kGoPipe;
    case S_IFSOCK:
      return out | kGoSocket;
    case S_IFBLK:
      return out | kGoDevice;
    case S_IFCHR:
      return out | kGoDevice | kGoCharDevice;
    default:
      return out;
  }
}

PathStat stat_path(const kernel::RootDirectory& root, std::string_view path) {
  const UniqueFd fd = open_named(root, path, false);
  return stat_of(root, path, kernel::stat_fd(fd.get()), fd.get());
}

PathStat pack(const kernel::RootDirectory& root, std::string_view path, const IdShift& shift, ByteSink& sink,
              const PackOptions& options) {
  const UniqueFd fd = open_named(root, path, options.follow_link);
  const struct stat info = kernel::stat_fd(fd.get());
  const PathStat out = stat_of(root, path, info, fd.get());
  std::string name = options.name;
  if (name.empty()) name = out.name;
  if (options.ready) options.ready(out);
  TarWriter tar(sink);
  TreePacker(tar, shift).add_open(fd.get(), name);
  tar.finish();
  return out;
}

void pack_tree(const kernel::RootDirectory& root, const IdShift& shift, ByteSink& sink) {
  TarWriter tar(sink);
  const UniqueFd top = kernel::reopen(root.fd(), O_RDONLY | O_DIRECTORY);
  TreePacker(tar, shift, Mounts::leave_out).add_content(top.get(), "");
  tar.finish();
}

void unpack_into(const kernel::RootDirectory& root, std::string_view path, const IdShift& shift, ByteSource& archive,
                 const UnpackIntoOptions& options) {
  TreeWriterOptions writing;
  writing.base = path.empty() ? "/" : std::string(path);
  if (!S_ISDIR(kernel::stat_fd(root.resolve(writing.base, O_PATH).get()).st_mode))
    fail(ErrorKind::invalid_argument, "extraction point is not a directory: {}", printable(path));
  writing.shift = shift;
  writing.no_overwrite_dir_non_dir = options.no_overwrite_dir_non_dir;
  // A container with a map could not make devices either; Docker leaves them out then.
  writing.devices = shift.none() && kernel::in_initial_user_namespace();
  writing.limits = options.limits;
  if (!options.copy_uid_gid) writing.owner = shift.to_archive(options.default_owner.uid, options.default_owner.gid);
  std::exception_ptr failure;
  const kernel::Owner self{::geteuid(), ::getegid()};
  // A thread of its own because the umask is a thread's for life, as are the ids of make_files_as.
  std::thread([&] {
    try {
      unmask_this_thread();
      if (options.default_owner.uid != self.uid || options.default_owner.gid != self.gid)
        kernel::make_files_as(options.default_owner.uid, options.default_owner.gid);
      const auto decoder = make_decoder(archive);
      DirectChunks chunks(*decoder);
      TarReader reader(chunks);
      TreeWriter(root, std::move(writing)).write(reader);
      reader.drain();
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace bryo::storage

#include "rootless/usernet/resolver_watch.hpp"

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.hpp"
#include "base/log.hpp"
#include "kernel/files.hpp"

namespace bryo::rootless::usernet {
namespace {

constexpr int kMostLinks = 16;
constexpr std::size_t kLargestFile = 65536;

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The directory, or the nearest one above it that there is.
void watch_directory(int inotify, std::string directory) {
  constexpr std::uint32_t kChanges =
      IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
  while (::inotify_add_watch(inotify, directory.c_str(), kChanges) < 0) {
    if (errno != ENOENT || directory == "/") return;
    directory = directory_of(directory);
  }
}

}  // namespace

ResolverWatch::ResolverWatch(std::string path) : path_(std::move(path)) {}

void ResolverWatch::watch_chain() {
  // A new set each time: what was watched for the old chain is forgotten with it.
  inotify_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify_) return;
  std::string path = path_;
  for (int i = 0; i < kMostLinks; ++i) {
    const std::string directory = directory_of(path);
    watch_directory(inotify_.get(), directory);
    char target[4096];
    const ssize_t size = ::readlink(path.c_str(), target, sizeof target);
    if (size <= 0) return;
    const std::string link(target, static_cast<std::size_t>(size));
    path = link.starts_with('/') ? link : directory + "/" + link;
  }
}

std::string ResolverWatch::read() {
  // First the watch: what changes while we read is seen afterwards.
  watch_chain();
  try {
    return kernel::read_file(kernel::open_trusted(path_, O_RDONLY | O_NONBLOCK).get(), kLargestFile);
  } catch (const Error& error) {
    log::warning("name servers of the host: {}", error.message());
    return {};
  }
}

}  // namespace bryo::rootless::usernet

#include "storage/init_layer.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>

#include "kernel/files.hpp"
#include "storage/copy_attributes.hpp"

namespace bryo::storage {
namespace {

enum class Kind { directory, file, link_to_mounts };
struct Wanted {
  const char* parent;  // "" or one component
  const char* name;
  Kind kind;
};

// The names of Docker's own init layer.
constexpr std::array<Wanted, 12> kWanted = {{
    {"", "dev", Kind::directory},
    {"dev", "pts", Kind::directory},
    {"dev", "shm", Kind::directory},
    {"dev", "console", Kind::file},
    {"", "proc", Kind::directory},
    {"", "sys", Kind::directory},
    {"", ".dockerenv", Kind::file},
    {"", "etc", Kind::directory},
    {"etc", "resolv.conf", Kind::file},
    {"etc", "hosts", Kind::file},
    {"etc", "hostname", Kind::file},
    {"etc", "mtab", Kind::link_to_mounts},
}};

void make(int directory, const Wanted& wanted) {
  switch (wanted.kind) {
    case Kind::directory:
      kernel::make_directory(directory, wanted.name, 0700);
      kernel::change_mode(kernel::open_at(directory, wanted.name, O_RDONLY | O_DIRECTORY).get(), 0755);
      break;
    case Kind::file:
      kernel::change_mode(kernel::open_at(directory, wanted.name, O_WRONLY | O_CREAT | O_EXCL, 0600).get(), 0755);
      break;
    case Kind::link_to_mounts:
      kernel::make_symlink("/proc/mounts", directory, wanted.name);
      break;
  }
}

// The parent in the new layer; as the image has it, when the image has it.
UniqueFd open_parent(const MergedDirectory& image, int into, const char* name) {
  if (kernel::try_make_directory(into, name, 0700)) {
    const UniqueFd fresh = kernel::open_at(into, name, O_RDONLY | O_DIRECTORY);
    if (const auto original = image.empty() ? std::nullopt : image.find(name))
      copy_attributes(original->fd.get(), original->info, fresh.get());
    else
      kernel::change_mode(fresh.get(), 0755);
  }
  return kernel::open_at(into, name, O_RDONLY | O_DIRECTORY);
}

}  // namespace

void fill_init_layer(const MergedDirectory& image, int into) {
  for (const Wanted& wanted : kWanted) {
    const std::string parent = wanted.parent;
    const std::string path = parent.empty() ? wanted.name : parent + "/" + wanted.name;
    if (!image.empty() && image.find_path(path)) continue;
    if (parent.empty()) {
      make(into, wanted);
      continue;
    }
    const auto original = image.empty() ? std::nullopt : image.find(parent);
    if (original && !S_ISDIR(original->info.st_mode)) continue;
    make(open_parent(image, into, wanted.parent).get(), wanted);
  }
}

}  // namespace bryo::storage

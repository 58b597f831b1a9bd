#include "kernel/private_directory.hpp"

#include "kernel/files.hpp"
#include "kernel/paths.hpp"

namespace bryo::kernel {

void make_private_directory(const std::string& path) {
  const UniqueFd directory = RootDirectory::open("/").make_directories(path, 0700);
  change_mode(directory.get(), 0700);
}

}  // namespace bryo::kernel

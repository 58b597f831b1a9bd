// Directories of the engine's own, closed to everybody else (D15).
#pragma once

#include <string>

namespace bryo::kernel {

// The absolute path and what is missing on the way to it, 0700; a directory that is there is closed.
void make_private_directory(const std::string& path);

}  // namespace bryo::kernel

// One engine for one directory: an advisory lock that ends with its descriptor, also after kill -9.
#pragma once

#include <string>

#include "base/unique_fd.hpp"

namespace bryo::storage {

// Makes and locks <directory>/<name> and writes our process id into it. Error{conflict} names who holds it.
UniqueFd lock_directory(const std::string& directory, const std::string& name);

}  // namespace bryo::storage

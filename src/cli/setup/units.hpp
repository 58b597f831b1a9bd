// The files of packaging/ that setup installs, as they are in the source tree; made by CMake.
#pragma once

#include <string_view>

namespace bryo::cli {

extern const std::string_view kUserUnit, kSystemUnit, kSystemSocket, kSystemDefaults, kSysusers;

}  // namespace bryo::cli

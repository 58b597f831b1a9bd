// The exit status for a container that did not start: 127 when its command is missing, 126 when it cannot be executed,
// 125 for everything else.
#pragma once

#include "base/error.hpp"

namespace bryo::cli {

inline Error with_start_status(const Error& error) {
  const auto says = [&](std::string_view text) { return error.message().find(text) != std::string::npos; };
  if (says("executable file not found") || says("no such file or directory") || says("system cannot find the file"))
    return error.with_exit_code(127);
  if (says("permission denied") || says("is a directory")) return error.with_exit_code(126);
  return error.with_exit_code(125);
}

}  // namespace bryo::cli

// Names as /proc/PID/mountinfo writes them (proc(5)): blanks, tabs, line breaks and backslashes are \ooo.
#pragma once

#include <string>
#include <string_view>

namespace bryo::kernel {

std::string unescape_mountinfo(std::string_view name);

}  // namespace bryo::kernel

#include "kernel/mountinfo_text.hpp"

namespace bryo::kernel {

std::string unescape_mountinfo(std::string_view name) {
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '\\' || i + 3 >= name.size()) {
      out += name[i];
      continue;
    }
    out += static_cast<char>((name[i + 1] - '0') * 64 + (name[i + 2] - '0') * 8 + (name[i + 3] - '0'));
    i += 3;
  }
  return out;
}

}  // namespace bryo::kernel

// mount(8)'s option words, as the OCI spec uses them, sorted by who understands them. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/launch_plan.hpp"

namespace bryo::runtime {

struct MountOptions {
  bool bind = false;
  bool recursive = false;  // rbind
  bool idmap = false;
  bool idmap_recursive = false;
  bool copy_up = false;
  bool remount = false;
  MountAttributes attributes;     // propagation only when one was named
  std::vector<std::string> data;  // for the file system itself
  // Of a mount that is new, and so has nothing below it: "rro" says the same as "ro".
  std::uint64_t all_attributes() const { return attributes.set | attributes.set_recursive; }
};

MountOptions parse_mount_options(std::span<const std::string> options);

// "private", "rshared" …; 0 when it is no such word.
std::uint64_t propagation_of(std::string_view word, bool& recursive);

}  // namespace bryo::runtime

#include <sched.h>

#include <algorithm>

#include "base/strings.hpp"
#include "kernel/idmap.hpp"
#include "kernel/namespaces.hpp"
#include "runtime/plan/plan_builder.hpp"

namespace bryo::runtime {
namespace {

// Lines of three numbers, in columns.
std::vector<oci::LinuxIdMapping> parse_map(const std::string& text) {
  std::vector<oci::LinuxIdMapping> out;
  for (const std::string_view line : split(text, '\n')) {
    std::vector<std::uint32_t> numbers;
    for (const std::string_view word : split(line, ' '))
      if (!word.empty()) numbers.push_back(parse_integer<std::uint32_t>(word).value_or(0));
    if (numbers.size() == 3) out.push_back({numbers[0], numbers[1], numbers[2]});
  }
  return out;
}

}  // namespace

bool complete_mappings(oci::RuntimeSpec& spec) {
  if (!spec.linux_) return false;
  oci::Linux& os = *spec.linux_;
  const auto user = std::ranges::find(os.namespaces, "user", &oci::LinuxNamespace::type);
  if (user == os.namespaces.end() || user->path.empty()) return false;
  if (!os.uid_mappings.empty() || !os.gid_mappings.empty()) return false;
  checked_text(user->path, "linux.namespaces.path");
  const UniqueFd fd = kernel::open_namespace_path(user->path, CLONE_NEWUSER);
  const kernel::UserNamespaceMaps maps = kernel::read_user_namespace(fd.get());
  os.uid_mappings = parse_map(maps.uid);
  os.gid_mappings = parse_map(maps.gid);
  return true;
}

}  // namespace bryo::runtime

#include "rootless/doctor/remove_data.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "ids/accounts.hpp"
#include "kernel/files.hpp"
#include "kernel/paths.hpp"
#include "rootless/user_namespace.hpp"

namespace bryo::rootless::doctor {
namespace {

void enter_own_namespace() {
  auto user = ids::NssAccounts().user(::geteuid());
  if (!user) user = ids::User{std::to_string(::geteuid()), ::geteuid(), ::getegid()};
  user->gid = ::getegid();
  become_root(maps_of(*user, ids::SubordinateIds()), {});
}

}  // namespace

void remove_data(const std::vector<std::string>& paths) {
  for (const std::string& path : paths)
    if (path.size() < 2 || path.front() != '/' || path.back() == '/')
      fail(ErrorKind::invalid_argument, "remove \"{}\": expected an absolute path", printable(path));
  if (standing() == Standing::user) enter_own_namespace();
  for (const std::string& path : paths) {
    const auto slash = path.rfind('/');
    const std::string above = slash == 0 ? "/" : path.substr(0, slash);
    if (!kernel::try_stat_at(AT_FDCWD, path)) continue;
    const UniqueFd parent = kernel::open_trusted(above, O_RDONLY | O_DIRECTORY);
    kernel::remove_tree(parent.get(), path.substr(slash + 1));
  }
}

}  // namespace bryo::rootless::doctor

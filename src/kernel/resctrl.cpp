#include "kernel/resctrl.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"

namespace bryo::kernel {
namespace {

constexpr std::size_t kMaxFile = 64 * 1024;

std::string read_whole(const std::string& path) { return read_file(open_trusted(path, O_RDONLY).get(), kMaxFile); }

void write_once(const std::string& path, const std::string& text) {
  const UniqueFd fd = open_trusted(path, O_WRONLY);
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    fail_errno("linux.intelRdt: write \"{}\" to {}", printable(text), path);
}

// True when it was made now.
bool make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0) return true;
  if (errno != EEXIST) fail_errno("linux.intelRdt: make {}", path);
  return false;
}

// Somebody else's class is taken as it is or not at all.
void check_schemata(const ResctrlGroup& group) {
  const std::string text = read_whole(group.path + "/schemata");
  std::vector<std::string_view> lines;
  for (const std::string_view line : split(text, '\n')) lines.push_back(trim(line));
  for (const std::string& wanted : group.schemata)
    if (std::ranges::find(lines, trim(wanted)) == lines.end())
      fail(ErrorKind::conflict, "linux.intelRdt: {} exists with another schema than \"{}\"", group.path,
           printable(wanted));
}

void fill(const ResctrlGroup& group, bool fresh, pid_t pid) {
  if (fresh)
    for (const std::string& line : group.schemata) write_once(group.path + "/schemata", line + "\n");
  else if (!group.schemata.empty())
    check_schemata(group);
  write_once(group.path + "/tasks", std::to_string(pid));
  if (group.monitor.empty()) return;
  const std::string monitor = group.path + "/mon_groups/" + group.monitor;
  make_directory(monitor);
  write_once(monitor + "/tasks", std::to_string(pid));
}

}  // namespace

std::string find_resctrl() {
  for (const std::string_view line : split(read_whole("/proc/self/mountinfo"), '\n')) {
    const std::size_t type = line.find(" - resctrl ");
    if (type == std::string_view::npos) continue;
    const auto fields = split(line.substr(0, type), ' ');
    if (fields.size() > 4) return std::string(fields[4]);
  }
  return "";
}

void enter_resctrl(const ResctrlGroup& group, pid_t pid) {
  const bool fresh = group.may_make && make_directory(group.path);
  struct stat info = {};
  if (::stat(group.path.c_str(), &info) != 0)
    fail(ErrorKind::not_found, "linux.intelRdt.closID: there is no class {}, and no schema to make it with",
         group.path);
  try {
    fill(group, fresh, pid);
  } catch (const Error&) {
    if (!group.monitor.empty()) remove_resctrl(group.path + "/mon_groups/" + group.monitor);
    if (fresh) remove_resctrl(group.path);
    throw;
  }
}

void remove_resctrl(const std::string& path) {
  if (::rmdir(path.c_str()) != 0 && errno != ENOENT) fail_errno("linux.intelRdt: remove {}", path);
}

}  // namespace bryo::kernel

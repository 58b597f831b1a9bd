#include "rootless/command/copy_up.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/mounts.hpp"
#include "kernel/tree_mounts.hpp"

namespace bryo::rootless::command {
namespace {

constexpr const char* kResolvConf = "/etc/resolv.conf";

UniqueFd new_tmpfs(mode_t mode) {
  kernel::NewFilesystem tmpfs("tmpfs");
  tmpfs.option("mode", fmt::format("{:o}", mode & 07777U));
  return tmpfs.mount(0);
}

// For what was there: a name that nothing there has (a bryo-rootless around this one has used the first).
std::string free_name(const std::vector<kernel::DirectoryEntry>& entries) {
  for (int number = 0;; ++number) {
    std::string name = fmt::format(".ro{}", number);
    if (std::ranges::find(entries, name, &kernel::DirectoryEntry::name) == entries.end()) return name;
  }
}

void copy_up_links(const std::string& directory) {
  const UniqueFd old = kernel::open_trusted(directory, O_RDONLY | O_DIRECTORY);
  const auto entries = kernel::read_directory(old.get());
  const struct stat facts = kernel::stat_fd(old.get());
  const std::string below = free_name(entries);
  const UniqueFd tree = kernel::clone_tree(directory, true);
  const UniqueFd tmpfs = new_tmpfs(facts.st_mode);
  kernel::make_directory(tmpfs.get(), below, 0755);
  for (const auto& entry : entries) kernel::make_symlink(below + "/" + entry.name, tmpfs.get(), entry.name);
  kernel::attach_tree(tmpfs.get(), directory);
  kernel::attach_tree(tree.get(), directory + "/" + below);
}

void copy_up_overlay(const std::string& directory) {
  std::vector<std::pair<std::string, UniqueFd>> above;
  for (const std::string& point : kernel::mounts_below(directory))
    above.emplace_back(point, kernel::clone_tree(point, false));
  const UniqueFd old = kernel::open_trusted(directory, O_RDONLY | O_DIRECTORY);
  const UniqueFd tree = kernel::clone_tree(directory, false);
  const UniqueFd tmpfs = new_tmpfs(0755);
  for (const char* name : {"lower", "upper", "work"}) kernel::make_directory(tmpfs.get(), name, 0755);
  const UniqueFd upper = kernel::open_at(tmpfs.get(), "upper", O_RDONLY | O_DIRECTORY);
  kernel::change_mode(upper.get(), kernel::stat_fd(old.get()).st_mode & 07777U);
  kernel::attach_tree(tmpfs.get(), directory);
  kernel::attach_tree(tree.get(), directory + "/lower");
  kernel::OverlayLayers layers;
  layers.lower = {directory + "/lower"};
  layers.upper = directory + "/upper";
  layers.work = directory + "/work";
  layers.options = {"userxattr"};
  UniqueFd overlay;
  try {
    overlay = kernel::overlay_mount(layers);
  } catch (const Error&) {
    kernel::detach_tree(directory);
    throw;
  }
  kernel::attach_tree(overlay.get(), directory);
  for (const auto& [point, mount] : above) kernel::attach_tree(mount.get(), point);
}

bool try_overlay(const std::string& directory) {
  try {
    copy_up_overlay(directory);
    return true;
  } catch (const Error& error) {
    log::warning("--copy-up-mode=overlay is not possible for {}, links are made instead: {}", directory,
                 error.message());
    return false;
  }
}

}  // namespace

void copy_up(const std::string& directory, CopyUpMode mode) {
  try {
    if (mode == CopyUpMode::overlay && try_overlay(directory)) return;
    copy_up_links(directory);
  } catch (const Error& error) {
    throw error.within("copy up " + directory);
  }
}

std::string resolv_conf_text(const std::string& host_text, const std::string& dns) {
  std::string out = "nameserver " + dns + "\n";
  for (const std::string_view line : split(host_text, '\n')) {
    const std::string_view bare = trim(line);
    if (bare.starts_with("search") || bare.starts_with("domain") || bare.starts_with("options"))
      out += std::string(bare) + "\n";
  }
  return out;
}

void replace_resolv_conf(const std::string& text, const std::string& made, bool etc_is_ours) {
  if (etc_is_ours) {
    const UniqueFd etc = kernel::open_trusted("/etc", O_RDONLY | O_DIRECTORY);
    kernel::write_file_durably(etc.get(), "resolv.conf", text, 0644);
    return;
  }
  try {
    kernel::attach_tree(kernel::clone_tree(made, false).get(), kResolvConf);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found) throw error.within("give the command its /etc/resolv.conf");
    log::warning("The host has no /etc/resolv.conf: the command has none either, unless --copy-up=/etc");
  }
}

}  // namespace bryo::rootless::command

#include "oci/cdi/registry.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"

namespace bryo::oci::cdi {
namespace {

constexpr std::size_t kMaxFile = 4U << 20;  // those for machines with many GPUs have some 100 KB

std::optional<Format> format_of(std::string_view name) {
  if (name.ends_with(".json")) return Format::json;
  if (name.ends_with(".yaml")) return Format::yaml;
  return std::nullopt;
}

std::vector<std::string> file_names(const UniqueFd& directory) {
  std::vector<std::string> names;
  for (const auto& entry : kernel::read_directory(directory.get()))
    if (format_of(entry.name)) names.push_back(entry.name);
  std::ranges::sort(names);
  return names;
}

// Its hooks are run with the engine's rights. Whose it is says nothing: without root, the machine's root is nobody.
void refuse_what_everybody_writes(const struct stat& info) {
  if ((info.st_mode & S_IWOTH) != 0)
    fail(ErrorKind::invalid_argument, "everybody may write it: take that away (chmod o-w)");
}

std::string read_text(const UniqueFd& directory, const std::string& name) {
  const UniqueFd file = kernel::open_at(directory.get(), name, O_RDONLY | O_NONBLOCK);
  const struct stat info = kernel::stat_fd(file.get());
  if (!S_ISREG(info.st_mode)) fail(ErrorKind::invalid_argument, "not a file");
  refuse_what_everybody_writes(info);
  return kernel::read_file(file.get(), kMaxFile);
}

}  // namespace

Registry Registry::scan(std::span<const std::string> directories) {
  Registry out;
  for (std::size_t priority = 0; priority < directories.size(); ++priority) {
    const std::string& directory = directories[priority];
    try {
      if (!kernel::try_stat_at(AT_FDCWD, directory)) continue;
      const UniqueFd opened = kernel::open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
      refuse_what_everybody_writes(kernel::stat_fd(opened.get()));
      for (const std::string& name : file_names(opened)) {
        const std::string path = directory + "/" + name;
        try {
          out.add(std::make_shared<File>(File{path, priority, parse_spec(read_text(opened, name), *format_of(name))}));
        } catch (const Error& error) {
          out.problems_.push_back(fmt::format("{}: {}", path, error.message()));
        }
      }
    } catch (const Error& error) {
      out.problems_.push_back(fmt::format("{}: {}", directory, error.message()));
    }
  }
  return out;
}

void Registry::add(std::shared_ptr<const File> file) {
  for (const Device& device : file->spec.devices) {
    const std::string name = file->spec.kind + "=" + device.name;
    Found& found = devices_[name];
    if (found.file && found.file->priority == file->priority) {
      found.conflict = true;
      problems_.push_back(fmt::format("{} is in both {} and {}", name, found.file->path, file->path));
      continue;
    }
    found = {file, &device, false};
  }
}

ContainerEdits Registry::edits_of(std::span<const std::string> names) const {
  std::vector<std::string> missing;
  std::set<const File*> files;
  ContainerEdits out;
  for (const std::string& name : names) {
    const auto found = devices_.find(name);
    if (found == devices_.end() || found->second.conflict) {
      missing.push_back(printable(name));
      continue;
    }
    const Found& device = found->second;
    if (files.insert(device.file.get()).second) out.append(device.file->spec.edits);
    out.append(device.device->edits);
  }
  if (!missing.empty())
    fail(ErrorKind::invalid_argument, "unresolvable CDI devices {}{}{}", fmt::join(missing, ", "),
         problems_.empty() ? "" : ": ", fmt::join(problems_, "; "));
  return out;
}

std::vector<std::string> Registry::names() const {
  std::vector<std::string> out;
  for (const auto& [name, found] : devices_)
    if (!found.conflict) out.push_back(name);
  return out;
}

}  // namespace bryo::oci::cdi

#include "storage/shifted_images.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/log.hpp"
#include "kernel/files.hpp"
#include "storage/id_shift.hpp"
#include "storage/merged_directory.hpp"
#include "storage/snapshot_drivers.hpp"
#include "storage/tree_copy.hpp"

namespace bryo::storage {
namespace {

constexpr const char* kDirectory = "shifted";

}  // namespace

ShiftedImages::ShiftedImages(DataRoot& root, LayerStore& layers) : root_(root), layers_(layers) {
  root_.scoped_directory("", kDirectory);
  const UniqueFd all = kernel::open_trusted(directory(), O_RDONLY | O_DIRECTORY);
  for (auto& entry : kernel::read_directory(all.get())) there_.push_back(std::move(entry.name));
}

std::string ShiftedImages::directory() const { return root_.path() + "/" + kDirectory; }

std::string ShiftedImages::name_of(const std::optional<Digest>& top, const ids::IdMaps& maps) {
  Sha256 hash;
  const std::string text = (top ? top->str() : "") + "\n" + maps.uid.proc_text() + "\n" + maps.gid.proc_text();
  hash.update(std::as_bytes(std::span(text)));
  return hash.finish().hex();
}

std::string ShiftedImages::require(const std::optional<Digest>& top, const ids::IdMaps& maps) {
  std::string name = name_of(top, maps);
  const std::lock_guard lock(mutex_);
  const auto found = std::find(there_.begin(), there_.end(), name);
  if (found == there_.end())
    copy(top, maps, name);
  else
    there_.erase(found);
  there_.push_back(name);
  return name;
}

void ShiftedImages::copy(const std::optional<Digest>& top, const ids::IdMaps& maps, const std::string& name) {
  std::vector<std::string> below = layers_below(layers_, top);
  log::info("copying image {} with the ids of a container: mounts cannot be idmapped here",
            top ? top->hex().substr(0, 12) : "scratch");
  for (auto& layer : below) layer = layers_.directory() + "/" + layer;
  const IdShift shift(maps);
  const std::string temporary = root_.make_temporary("shifted");
  try {
    const UniqueFd into = kernel::open_at(root_.fd(), temporary, O_RDONLY | O_DIRECTORY);
    const CopyRules rules{[&](const struct stat& info) { return shift.to_disk(info.st_uid, info.st_gid); },
                          shift.to_disk(0, 0).uid};
    copy_merged(MergedDirectory::open(below), into.get(), rules);
    kernel::sync_filesystem(into.get());
    kernel::rename_at(root_.fd(), temporary, root_.fd(), std::string(kDirectory) + "/" + name);
  } catch (...) {
    root_.discard(temporary);
    throw;
  }
}

void ShiftedImages::collect(const std::set<std::string>& used) {
  const std::lock_guard lock(mutex_);
  const auto idle = std::ranges::count_if(there_, [&](const std::string& name) { return !used.contains(name); });
  auto surplus = idle - static_cast<std::ptrdiff_t>(kKept);
  std::erase_if(there_, [&](const std::string& name) {
    if (used.contains(name) || surplus-- <= 0) return false;
    root_.discard(std::string(kDirectory) + "/" + name);
    return true;
  });
}

}  // namespace bryo::storage

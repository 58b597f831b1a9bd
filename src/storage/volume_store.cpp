#include "storage/volume_store.hpp"

#include <fcntl.h>

#include <algorithm>
#include <map>

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/time.hpp"
#include "kernel/files.hpp"
#include "storage/id_shift.hpp"
#include "storage/snapshot_drivers.hpp"
#include "storage/tree_copy.hpp"

namespace bryo::storage {
namespace {

constexpr std::string_view kKind = "volume";

void check_name(std::string_view name) {
  const auto word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  const bool good =
      name.size() >= 2 && name.size() <= 255 && word(name.front()) &&
      std::all_of(name.begin(), name.end(), [&](char c) { return word(c) || c == '_' || c == '.' || c == '-'; });
  if (!good)
    fail(
        ErrorKind::invalid_argument,
        "create {}: \"{}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are "
        "allowed. If you intended to pass a host directory, use absolute path",
        printable(name), printable(name));
}

// The local driver's rules: which options there are, and which need which.
void check_options(const VolumeRequest& request) {
  static const std::map<std::string, std::vector<std::string>, std::less<>> known = {
      {"type", {"device"}}, {"device", {"type"}}, {"o", {"device", "type"}}, {"size", {}}};
  for (const auto& [key, value] : request.options) {
    const auto rule = known.find(key);
    if (rule == known.end())
      fail(ErrorKind::invalid_argument, "create {}: invalid option: \"{}\"", request.name, printable(key));
    for (const auto& needed : rule->second)
      if (!request.options.contains(needed))
        fail(ErrorKind::invalid_argument, "create {}: missing required option: \"{}\"", request.name, needed);
    if (key == "size")
      fail(ErrorKind::invalid_argument, "create {}: quota size requested but no quota support", request.name);
  }
}

// "<scope>/volumes/<name>"
std::string relative_of(std::string_view scope, std::string_view name) {
  return scope.empty() ? fmt::format("volumes/{}", name) : fmt::format("{}/volumes/{}", scope, name);
}

}  // namespace
}  // namespace bryo::storage

template <>
struct bryo::json::Fields<bryo::storage::Volume> {
  using T = bryo::storage::Volume;
  static constexpr auto list =
      std::tuple{field("name", &T::name),           field("scope", &T::scope),          field("driver", &T::driver),
                 field("created", &T::created),     field("labels", &T::labels),        field("options", &T::options),
                 field("anonymous", &T::anonymous), field("mountpoint", &T::mountpoint)};
};

namespace bryo::storage {

VolumeStore::VolumeStore(DataRoot& root, DocumentStore& documents) : root_(root), documents_(documents) {}
VolumeStore::~VolumeStore() = default;

std::optional<Volume> VolumeStore::find(std::string_view scope, std::string_view name) const {
  return documents_.get_as<Volume>({std::string(kKind), std::string(scope), std::string(name)});
}

Volume VolumeStore::get(std::string_view scope, std::string_view name) const {
  if (auto found = find(scope, name)) return *std::move(found);
  fail(ErrorKind::not_found, "get {}: no such volume", printable(name));
}

std::vector<Volume> VolumeStore::list(std::string_view scope) const {
  std::vector<Volume> out;
  for (const auto& document : documents_.list(kKind, scope))
    out.push_back(json::decode<Volume>(json::parse(document.text)));
  return out;
}

Volume VolumeStore::create(const VolumeRequest& request) {
  const std::lock_guard lock(mutex_);
  if (!request.driver.empty() && request.driver != "local")
    fail(ErrorKind::not_found, "error looking up volume plugin {0}: plugin \"{0}\" not found",
         printable(request.driver));
  if (!request.name.empty()) check_name(request.name);
  check_options(request);
  if (const auto existing = request.name.empty() ? std::nullopt : find(request.scope, request.name)) {
    if (!request.options.empty() && existing->options != request.options)
      fail(ErrorKind::conflict, "create {}: conflict: volume exists with other options", request.name);
    return *existing;
  }
  Volume volume;
  volume.anonymous = request.name.empty();
  volume.name = volume.anonymous ? random_hex_id() : request.name;
  volume.scope = request.scope;
  volume.created = to_rfc3339_nano(std::chrono::floor<std::chrono::seconds>(wall_now()));
  volume.labels = request.labels;
  volume.options = request.options;
  root_.scoped_directory(request.scope, "volumes");
  const std::string relative = relative_of(volume.scope, volume.name);
  volume.mountpoint = root_.path() + "/" + relative + "/_data";
  // What a removal that was cut short has left is not this volume's.
  root_.discard(relative);
  root_.directory().make_directories(relative, 0700);
  const UniqueFd data = root_.directory().make_directories(relative + "/_data", 0755);
  root_.step("volume: made");
  documents_.put_as({std::string(kKind), volume.scope, volume.name}, volume);
  return volume;
}

void VolumeStore::remove(std::string_view scope, std::string_view name) {
  const std::lock_guard lock(mutex_);
  const Volume volume = get(scope, name);
  documents_.erase({std::string(kKind), volume.scope, volume.name});
  root_.step("volume: record erased");
  root_.discard(relative_of(volume.scope, volume.name));
}

kernel::RootDirectory VolumeStore::data(const Volume& volume) const {
  if (mount_of(volume))
    fail(ErrorKind::unsupported, "volume {} is of type {}: it has no directory of its own", volume.name,
         volume.options.at("type"));
  const auto directory =
      root_.directory().resolve(relative_of(volume.scope, volume.name) + "/_data", O_PATH | O_DIRECTORY);
  return kernel::RootDirectory(kernel::reopen(directory.get(), O_RDONLY | O_DIRECTORY));
}

std::optional<VolumeMount> VolumeStore::mount_of(const Volume& volume) const {
  const auto type = volume.options.find("type");
  if (type == volume.options.end()) return std::nullopt;
  const auto option = [&](const std::string& key) {
    const auto found = volume.options.find(key);
    return found == volume.options.end() ? std::string() : found->second;
  };
  return VolumeMount{type->second, option("device"), option("o")};
}

bool VolumeStore::copy_up(const Volume& volume, const kernel::RootDirectory& image_root, std::string_view path,
                          const ids::IdMaps& maps) {
  if (mount_of(volume)) return false;
  const auto source = image_root.try_resolve(path, O_PATH | O_DIRECTORY);
  if (!source) return false;
  const std::lock_guard lock(mutex_);
  const kernel::RootDirectory target = data(volume);
  if (!kernel::read_directory(target.fd()).empty()) return false;
  const IdShift shift(maps);
  try {
    copy_tree(source->get(), target.fd(),
              {[&](const struct stat& info) { return shift.to_archive(info.st_uid, info.st_gid); }, 0});
  } catch (...) {
    // Half of it would look like content of its own the next time.
    for (const auto& entry : kernel::read_directory(target.fd())) kernel::remove_tree(target.fd(), entry.name);
    throw;
  }
  return true;
}

std::uint64_t VolumeStore::size(const Volume& volume) const { return tree_bytes(data(volume).fd()); }

}  // namespace bryo::storage

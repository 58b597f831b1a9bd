#include "engine/mount_list.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::engine {
namespace {

constexpr std::array kPropagations = {"private", "rprivate", "slave", "rslave", "shared", "rshared"};

bool is_propagation(std::string_view word) {
  return std::find(kPropagations.begin(), kPropagations.end(), word) != kPropagations.end();
}

std::string checked_destination(std::string_view path, std::string_view whole) {
  if (!path.starts_with('/'))
    fail(ErrorKind::invalid_argument, "invalid volume specification: '{}': mount path must be absolute",
         printable(whole));
  if (path.find('\0') != std::string_view::npos)
    fail(ErrorKind::invalid_argument, "invalid volume specification: '{}': NUL in path", printable(whole));
  std::string clean = clean_path(path);
  if (clean == "/")
    fail(ErrorKind::invalid_argument, "invalid volume specification: '{}': destination can't be '/'", printable(whole));
  return clean;
}

void apply_mode(ResolvedMount& mount, std::string_view mode, std::string_view whole) {
  for (const std::string_view word : split(mode, ',')) {
    if (word == "ro" || word == "readonly")
      mount.point.rw = false;
    else if (word == "nocopy")
      mount.copy_up = false;
    else if (word == "idmap")
      mount.idmap = true;
    else if (is_propagation(word))
      mount.point.propagation = word;
    else if (word != "rw" && word != "z" && word != "Z" && word != "consistent" && word != "cached" &&
             word != "delegated" && word != "copy")
      fail(ErrorKind::invalid_argument, "invalid mode: {} in volume specification '{}'", printable(mode),
           printable(whole));
  }
}

void make_bind(ResolvedMount& mount, std::string source) {
  mount.point.type = "bind";
  mount.point.source = std::move(source);
  if (mount.point.propagation.empty()) mount.point.propagation = "rprivate";
}

void make_volume(ResolvedMount& mount, std::string name, std::string_view driver) {
  mount.point.type = "volume";
  mount.point.name = std::move(name);
  mount.point.driver = driver.empty() ? "local" : driver;
  mount.point.propagation.clear();
  mount.anonymous = mount.point.name.empty();
  mount.copy_up = true;
  mount.idmap = true;
}

// What the API promises of read-only binds: nothing for one that may be written to, not both, and a mount that the host
// may still put things below is not read-only for sure.
void check_read_only(const MountSpec& spec) {
  const BindOptions& options = *spec.bind_options;
  const auto refuse = [](std::string_view why) {
    fail(ErrorKind::invalid_argument, "invalid mount config for type \"bind\": {}", why);
  };
  if (options.read_only_non_recursive && options.read_only_force_recursive)
    refuse("mount must not be both ReadOnlyNonRecursive and ReadOnlyForceRecursive");
  if (options.read_only_non_recursive && !spec.read_only)
    refuse("mount source is read-write: ReadOnlyNonRecursive needs ReadOnly");
  if (!options.read_only_force_recursive) return;
  if (!spec.read_only) refuse("mount source is read-write: ReadOnlyForceRecursive needs ReadOnly");
  if (options.non_recursive) refuse("ReadOnlyForceRecursive conflicts with NonRecursive");
  if (options.propagation != "rprivate" && !options.propagation.empty())
    refuse("ReadOnlyForceRecursive needs the propagation rprivate");
}

ResolvedMount bind_from_spec(const MountSpec& spec) {
  ResolvedMount mount;
  if (!spec.source.starts_with('/'))
    fail(ErrorKind::invalid_argument,
         "invalid mount config for type \"bind\": invalid mount path: '{}' mount path must be absolute",
         printable(spec.source));
  if (spec.volume_options || spec.tmpfs_options)
    fail(ErrorKind::invalid_argument,
         "invalid mount config for type \"bind\": field VolumeOptions must not be specified");
  if (spec.bind_options) {
    if (!spec.bind_options->propagation.empty() && !is_propagation(spec.bind_options->propagation))
      fail(ErrorKind::invalid_argument, "invalid mount config for type \"bind\": invalid propagation mode: {}",
           printable(spec.bind_options->propagation));
    mount.point.propagation = spec.bind_options->propagation;
    mount.recursive = !spec.bind_options->non_recursive;
    mount.create_source = spec.bind_options->create_mountpoint;
    mount.flat_read_only = spec.bind_options->read_only_non_recursive;
    check_read_only(spec);
  }
  make_bind(mount, clean_path(spec.source));
  return mount;
}

std::vector<std::string> words_of(const TmpfsOptions& options) {
  std::vector<std::string> out;
  if (options.size_bytes > 0) out.push_back(fmt::format("size={}", options.size_bytes));
  if (options.mode != 0) out.push_back(fmt::format("mode={:o}", options.mode));
  for (const auto& option : options.options) {
    std::string word = join(option, "=");
    if (option.empty() || option.size() > 2 || option.front().empty() || word.find(',') != std::string::npos)
      fail(ErrorKind::invalid_argument,
           "invalid mount config for type \"tmpfs\": invalid option '{}': a name, or a name and a value",
           printable(word));
    out.push_back(std::move(word));
  }
  return out;
}

ResolvedMount volume_from_spec(const MountSpec& spec) {
  ResolvedMount mount;
  if (spec.bind_options || spec.tmpfs_options)
    fail(ErrorKind::invalid_argument,
         "invalid mount config for type \"volume\": field BindOptions must not be specified");
  const auto& options = spec.volume_options;
  make_volume(mount, spec.source, options && options->driver_config ? options->driver_config->name : std::string());
  if (options) {
    mount.copy_up = !options->no_copy;
    mount.subpath = options->subpath;
  }
  return mount;
}

}  // namespace

std::string clean_path(std::string_view path) {
  std::vector<std::string> kept;
  for (const std::string_view piece : split(path, '/')) {
    if (piece.empty() || piece == ".") continue;
    if (piece != "..")
      kept.emplace_back(piece);
    else if (!kept.empty())
      kept.pop_back();
  }
  return "/" + join(kept, "/");
}

ResolvedMount parse_bind(std::string_view text, std::string_view volume_driver) {
  const auto pieces = split(text, ':');
  if (pieces.size() < 2 || pieces.size() > 3 || pieces[0].empty() || pieces[1].empty())
    fail(ErrorKind::invalid_argument, "invalid volume specification: '{}'", printable(text));
  ResolvedMount mount;
  if (pieces[0].starts_with('/')) {
    make_bind(mount, clean_path(pieces[0]));
    mount.create_source = true;
  } else {
    make_volume(mount, std::string(pieces[0]), volume_driver);
  }
  mount.point.destination = checked_destination(pieces[1], text);
  if (pieces.size() == 3) {
    apply_mode(mount, pieces[2], text);
    mount.point.mode = pieces[2];
  }
  return mount;
}

ResolvedMount from_mount_spec(const MountSpec& spec) {
  ResolvedMount mount;
  if (spec.target.empty())
    fail(ErrorKind::invalid_argument, "invalid mount config for type \"{}\": field Target must not be empty",
         printable(spec.type));
  if (spec.type == "bind") {
    mount = bind_from_spec(spec);
  } else if (spec.type == "volume") {
    mount = volume_from_spec(spec);
  } else if (spec.type == "tmpfs") {
    if (!spec.source.empty())
      fail(ErrorKind::invalid_argument, "invalid mount config for type \"tmpfs\": field Source must not be specified");
    mount.point.type = "tmpfs";
    if (spec.tmpfs_options) mount.tmpfs_options = join(words_of(*spec.tmpfs_options), ",");
  } else {
    fail(ErrorKind::invalid_argument, "mount type unknown: \"{}\"", printable(spec.type));
  }
  mount.point.destination = checked_destination(spec.target, spec.target);
  mount.point.rw = !spec.read_only;
  return mount;
}

ResolvedMount from_tmpfs(const std::string& destination, const std::string& options) {
  ResolvedMount mount;
  mount.point.type = "tmpfs";
  mount.point.destination = checked_destination(destination, destination);
  mount.tmpfs_options = options;
  for (const std::string_view word : split(options, ','))
    if (word == "ro") mount.point.rw = false;
  return mount;
}

VolumesFrom parse_volumes_from(std::string_view text) {
  const auto pieces = split_once(text, ':');
  if (!pieces) return {std::string(text), false};
  if (pieces->second != "ro" && pieces->second != "rw" && pieces->second != "z" && pieces->second != "Z")
    fail(ErrorKind::invalid_argument, "invalid mode for volumes-from: {}", printable(pieces->second));
  return {std::string(pieces->first), pieces->second == "ro"};
}

std::vector<ResolvedMount> merge_mounts(const HostConfig& host, const std::optional<StringSet>& image_volumes,
                                        std::vector<ResolvedMount> inherited) {
  std::map<std::string, ResolvedMount> by_destination;
  for (ResolvedMount& mount : inherited) by_destination.insert_or_assign(mount.point.destination, std::move(mount));

  std::map<std::string, ResolvedMount> asked;
  const auto add = [&](ResolvedMount mount) {
    const std::string destination = mount.point.destination;
    if (!asked.emplace(destination, std::move(mount)).second)
      fail(ErrorKind::invalid_argument, "Duplicate mount point: {}", printable(destination));
  };
  if (host.binds)
    for (const std::string& bind : *host.binds) add(parse_bind(bind, host.volume_driver));
  for (const MountSpec& spec : host.mounts) add(from_mount_spec(spec));
  for (const auto& [destination, options] : host.tmpfs) add(from_tmpfs(destination, options));
  for (auto& [destination, mount] : asked) by_destination.insert_or_assign(destination, std::move(mount));

  if (image_volumes) {
    for (const auto& [path, nothing] : *image_volumes) {
      ResolvedMount mount;
      make_volume(mount, "", host.volume_driver);
      mount.point.destination = checked_destination(path, path);
      by_destination.emplace(mount.point.destination, std::move(mount));
    }
  }
  std::vector<ResolvedMount> out;
  for (auto& [destination, mount] : by_destination) out.push_back(std::move(mount));
  return out;  // sorted: parents are mounted before what lies in them
}

}  // namespace bryo::engine

// What is remembered of a container: the document of kind "container" in the store. Written when it is created, when it
// ends, and when something is changed; whether it runs right now is asked of its monitor, never read from here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/types/container_config.hpp"
#include "engine/types/container_views.hpp"
#include "engine/types/host_config.hpp"
#include "engine/types/network_settings.hpp"
#include "ids/id_map.hpp"

namespace bryo::engine {

// Where the ids of a container come from.
enum class MapMode {
  host,       // no map: --userns=host, or an engine without --userns-remap
  daemon,     // the engine's one map
  automatic,  // a range of its own: --userns=auto
  keep_id,    // the engine's ids, ordered so that the caller is a given user: --userns=keep-id
};
std::string_view to_string(MapMode mode);

// One mount, after binds, --mount, volumes-from, tmpfs and the image's VOLUMEs have become one list.
struct ResolvedMount {
  MountPoint point;
  bool anonymous = false;       // removed with the container
  bool copy_up = false;         // wanted, and not yet done
  bool idmap = false;           // show it through the container's map (volumes; binds with the option idmap)
  bool recursive = true;        // bind what is mounted below, too
  bool flat_read_only = false;  // read-only itself, and not what is mounted below
  bool create_source = false;   // docker run -v makes a missing host directory
  std::string subpath;
  std::string tmpfs_options;  // "size=64m,mode=1777"
};

// USER, resolved once (CVE-2019-11245) against the image's passwd and group.
struct ResolvedUser {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;
  std::string home;
};

struct Record {
  std::string id;
  std::string name;   // without slash
  std::string scope;  // directory name of the engine's map, "" without one
  std::string created;
  std::string image_id;   // sha256:…; "" for an empty image
  std::string image_ref;  // as asked for
  std::string platform = "linux";
  std::string driver;
  std::string path;
  std::vector<std::string> args;
  ContainerConfig config;
  HostConfig host_config;
  std::string map_mode;
  ids::IdMaps maps;
  std::optional<ResolvedUser> user;
  std::vector<ResolvedMount> mounts;
  EndpointsConfig networks;  // as asked for; addresses are filled while it runs

  std::string started_at;
  std::string finished_at;
  int exit_code = 0;
  bool oom_killed = false;
  std::string error;
  int restart_count = 0;
  bool stopped_by_user = false;  // restart policies leave it alone
  bool dead = false;             // removal began
};

}  // namespace bryo::engine

namespace bryo::json {

template <>
struct Fields<engine::ResolvedMount> {
  using T = engine::ResolvedMount;
  static constexpr auto list = std::tuple{field("Point", &T::point),
                                          field("Anonymous", &T::anonymous),
                                          field("CopyUp", &T::copy_up),
                                          field("IdMap", &T::idmap),
                                          field("Recursive", &T::recursive),
                                          field("FlatReadOnly", &T::flat_read_only),
                                          field("CreateSource", &T::create_source),
                                          field("Subpath", &T::subpath),
                                          field("TmpfsOptions", &T::tmpfs_options)};
};

template <>
struct Fields<engine::ResolvedUser> {
  using T = engine::ResolvedUser;
  static constexpr auto list =
      std::tuple{field("Uid", &T::uid), field("Gid", &T::gid), field("Groups", &T::groups), field("Home", &T::home)};
};

template <>
struct Fields<engine::Record> {
  using T = engine::Record;
  static constexpr auto list = std::tuple{field("Id", &T::id),
                                          field("Name", &T::name),
                                          field("Scope", &T::scope),
                                          field("Created", &T::created),
                                          field("ImageId", &T::image_id),
                                          field("ImageRef", &T::image_ref),
                                          field("Platform", &T::platform),
                                          field("Driver", &T::driver),
                                          field("Path", &T::path),
                                          field("Args", &T::args),
                                          field("Config", &T::config),
                                          field("HostConfig", &T::host_config),
                                          field("MapMode", &T::map_mode),
                                          field("Maps", &T::maps),
                                          field("User", &T::user),
                                          field("Mounts", &T::mounts),
                                          field("Networks", &T::networks),
                                          field("StartedAt", &T::started_at),
                                          field("FinishedAt", &T::finished_at),
                                          field("ExitCode", &T::exit_code),
                                          field("OomKilled", &T::oom_killed),
                                          field("Error", &T::error),
                                          field("RestartCount", &T::restart_count),
                                          field("StoppedByUser", &T::stopped_by_user),
                                          field("Dead", &T::dead)};
};

}  // namespace bryo::json

// What bryo-oci remembers of a container: a directory <root>/<id>, 0700, with state.json, the configuration it was
// created from, and the socket on which its first process waits for `start`. Whether it runs is asked of the kernel.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "base/unique_fd.hpp"
#include "oci/runtime_spec.hpp"

namespace bryo::runtime::command {

enum class Status { creating, created, running, paused, stopped };
std::string_view to_string(Status status);

struct ContainerState {
  std::string id;
  std::string bundle;
  std::string rootfs;
  std::string created;  // RFC 3339
  std::string owner;
  pid_t pid = 0;
  std::uint64_t start_time = 0;
  bool started = false;
  bool cgroups = true;
  std::string cgroup_path;
  std::string systemd_unit;  // the scope that the cgroup is, with --systemd-cgroup
  bool no_new_keyring = false;
};

// Ids are names of directories: letters, digits and "_+-." as runc takes them.
void check_id(const std::string& id);

class StateDirectory {
 public:
  explicit StateDirectory(std::string root) : root_(std::move(root)) {}

  // Makes the container's directory; Error{conflict} when the id is taken.
  void create(const std::string& id) const;
  // `config`: the text of a config.json, which is kept beside it; empty leaves that as it is.
  void save(const ContainerState& state, const std::string& config = {}) const;
  // Error{not_found} with runc's text when there is none.
  ContainerState load(const std::string& id) const;
  oci::RuntimeSpec load_spec(const std::string& id) const;
  std::vector<ContainerState> list() const;
  // Name of the user who made it.
  std::string owner(const std::string& id) const;
  void remove(const std::string& id) const noexcept;

  // Where CRIU writes the number of the process that it restored.
  std::string restored_pid_file(const std::string& id) const { return path(id) + "/restored.pid"; }
  // The socket of `start`: made by create, connected to by start.
  UniqueFd listen_at_gate(const std::string& id) const;
  UniqueFd connect_to_gate(const std::string& id) const;

 private:
  std::string path(const std::string& id) const { return root_ + "/" + id; }
  UniqueFd open(const std::string& id) const;
  std::string root_;
};

Status status_of(const ContainerState& state);
// A pidfd of the container's init; empty when it has ended.
UniqueFd open_init(const ContainerState& state);

// What `bryo-oci state` prints and hooks read on their standard input.
struct StateView {
  std::string oci_version = oci::kRuntimeSpecVersion;
  std::string id;
  pid_t pid = 0;
  std::string status;
  std::string bundle;
  std::string rootfs;
  std::string created;
  std::map<std::string, std::string> annotations;
  std::string owner;
};
StateView view_of(const ContainerState& state, const oci::RuntimeSpec& spec, Status status);

}  // namespace bryo::runtime::command

template <>
struct bryo::json::Fields<bryo::runtime::command::StateView> {
  using T = runtime::command::StateView;
  static constexpr auto list = std::tuple{field("ociVersion", &T::oci_version),
                                          field("id", &T::id),
                                          field("pid", &T::pid),
                                          field("status", &T::status),
                                          field("bundle", &T::bundle),
                                          field("rootfs", &T::rootfs),
                                          field("created", &T::created),
                                          field("annotations", &T::annotations, omit_empty),
                                          field("owner", &T::owner)};
};
template <>
struct bryo::json::Fields<bryo::runtime::command::ContainerState> {
  using T = runtime::command::ContainerState;
  static constexpr auto list = std::tuple{field("id", &T::id),
                                          field("bundle", &T::bundle),
                                          field("rootfs", &T::rootfs),
                                          field("created", &T::created),
                                          field("owner", &T::owner),
                                          field("pid", &T::pid),
                                          field("startTime", &T::start_time),
                                          field("started", &T::started),
                                          field("cgroups", &T::cgroups),
                                          field("cgroupPath", &T::cgroup_path),
                                          field("systemdUnit", &T::systemd_unit),
                                          field("noNewKeyring", &T::no_new_keyring)};
};

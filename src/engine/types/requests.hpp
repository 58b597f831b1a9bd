// What callers ask of the engine. Plain structs: api/ fills them from HTTP.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/types/container_config.hpp"
#include "engine/types/host_config.hpp"
#include "engine/types/network_settings.hpp"

namespace bryo::engine {

// Who asks: SO_PEERCRED of the connection; uid -1 when the caller is remote.
struct Caller {
  std::int64_t uid = -1;
  std::int64_t gid = -1;
};

struct CreateRequest {
  std::string name;      // without the leading slash; empty: the engine invents one
  std::string platform;  // "" or os/arch[/variant]
  ContainerConfig config;
  HostConfig host_config;
  NetworkingConfig networking;
  Caller caller;
};

struct CreateResult {
  std::string id;
  std::vector<std::string> warnings;
};

struct ListRequest {
  bool all = false;
  int limit = 0;
  bool size = false;
  Filters filters;
};

struct RemoveRequest {
  bool volumes = false;  // anonymous ones too
  bool force = false;
  bool link = false;
};

struct LogsRequest {
  bool out = false;  // stdout
  bool err = false;  // stderr
  bool follow = false;
  bool timestamps = false;
  bool details = false;
  std::string since;
  std::string until;
  std::string tail;  // "", "all" or a number
};

struct AttachRequest {
  bool in = false;
  bool out = false;
  bool err = false;
  bool logs = false;    // replay what was logged
  bool stream = false;  // go on with what comes
};

enum class WaitCondition { not_running, next_exit, removed };

struct WaitResult {
  int status_code = 0;
  std::optional<std::string> error;
};

struct UpdateRequest {
  Resources resources;
  std::optional<RestartPolicy> restart_policy;
  json::Value given;  // the request as it came: only the fields that it names are changed
};

struct ExecCreateRequest {
  bool attach_stdin = false;
  bool attach_stdout = false;
  bool attach_stderr = false;
  bool tty = false;
  std::string detach_keys;
  std::optional<std::vector<std::string>> env;
  std::vector<std::string> cmd;
  bool privileged = false;
  std::string user;
  std::string working_dir;
  std::optional<std::array<unsigned, 2>> console_size;
};

struct ExecStartRequest {
  bool detach = false;
  bool tty = false;
  std::optional<std::array<unsigned, 2>> console_size;
};

struct ArchivePutRequest {
  std::string path;
  bool no_overwrite_dir_non_dir = false;
  bool copy_uid_gid = false;
};

struct CommitRequest {
  std::string container;
  std::string repository;
  std::string tag;
  std::string comment;
  std::string author;
  std::vector<std::string> changes;  // Dockerfile instructions
  bool pause = true;
  std::optional<ContainerConfig> config;
};

struct EventsRequest {
  std::string since;
  std::string until;
  Filters filters;
};

struct NetworkCreateRequest {
  std::string name;
  bool check_duplicate = false;
  std::string driver;
  bool internal = false;
  bool attachable = false;
  bool ingress = false;
  bool enable_ipv6 = false;
  json::Value ipam;
  Labels options;
  Labels labels;
};

struct VolumeCreateRequest {
  std::string name;
  std::string driver;
  Labels driver_opts;
  Labels labels;
};

}  // namespace bryo::engine

namespace bryo::json {

template <>
struct Fields<engine::ExecCreateRequest> {
  using T = engine::ExecCreateRequest;
  static constexpr auto list = std::tuple{field("AttachStdin", &T::attach_stdin),
                                          field("AttachStdout", &T::attach_stdout),
                                          field("AttachStderr", &T::attach_stderr),
                                          field("Tty", &T::tty),
                                          field("DetachKeys", &T::detach_keys),
                                          field("Env", &T::env),
                                          field("Cmd", &T::cmd),
                                          field("Privileged", &T::privileged),
                                          field("User", &T::user),
                                          field("WorkingDir", &T::working_dir),
                                          field("ConsoleSize", &T::console_size)};
};

template <>
struct Fields<engine::ExecStartRequest> {
  using T = engine::ExecStartRequest;
  static constexpr auto list =
      std::tuple{field("Detach", &T::detach), field("Tty", &T::tty), field("ConsoleSize", &T::console_size)};
};

template <>
struct Fields<engine::NetworkCreateRequest> {
  using T = engine::NetworkCreateRequest;
  static constexpr auto list = std::tuple{field("Name", &T::name),
                                          field("CheckDuplicate", &T::check_duplicate),
                                          field("Driver", &T::driver),
                                          field("Internal", &T::internal),
                                          field("Attachable", &T::attachable),
                                          field("Ingress", &T::ingress),
                                          field("EnableIPv6", &T::enable_ipv6),
                                          field("IPAM", &T::ipam),
                                          field("Options", &T::options),
                                          field("Labels", &T::labels)};
};

template <>
struct Fields<engine::VolumeCreateRequest> {
  using T = engine::VolumeCreateRequest;
  static constexpr auto list = std::tuple{field("Name", &T::name), field("Driver", &T::driver),
                                          field("DriverOpts", &T::driver_opts), field("Labels", &T::labels)};
};

}  // namespace bryo::json

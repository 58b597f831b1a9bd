// What the engine answers about containers and execs. Field names are the API's (v1.47); api/ adapts older versions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/types/container_config.hpp"
#include "engine/types/host_config.hpp"
#include "engine/types/network_settings.hpp"

namespace bryo::engine {

struct HealthResult {
  std::string start;
  std::string end;
  int exit_code = 0;
  std::string output;
};

struct Health {
  std::string status;  // starting, healthy, unhealthy
  int failing_streak = 0;
  std::vector<HealthResult> log;
};

struct ContainerState {
  std::string status;  // created, running, paused, restarting, removing, exited, dead
  bool running = false;
  bool paused = false;
  bool restarting = false;
  bool oom_killed = false;
  bool dead = false;
  int pid = 0;
  int exit_code = 0;
  std::string error;
  std::string started_at;
  std::string finished_at;
  std::optional<Health> health;
};

struct MountPoint {
  std::string type;
  std::string name;
  std::string source;
  std::string destination;
  std::string driver;
  std::string mode;
  bool rw = true;
  std::string propagation;
};

struct GraphDriverData {
  Labels data;
  std::string name;
};

struct ContainerInspect {
  std::string id;
  std::string created;
  std::string path;
  std::vector<std::string> args;
  ContainerState state;
  std::string image;
  std::string resolv_conf_path;
  std::string hostname_path;
  std::string hosts_path;
  std::string log_path;
  std::string name;
  int restart_count = 0;
  std::string driver;
  std::string platform;
  std::string mount_label;
  std::string process_label;
  std::string app_armor_profile;
  std::optional<std::vector<std::string>> exec_ids;
  HostConfig host_config;
  GraphDriverData graph_driver;
  std::optional<std::int64_t> size_rw;
  std::optional<std::int64_t> size_root_fs;
  std::vector<MountPoint> mounts;
  ContainerConfig config;
  NetworkSettings network_settings;
  json::Value id_maps;  // Bryo's own: {"Uid": "0 165536 65536\n", "Gid": …, "Mode": "daemon"|"auto"|"host"}
};

struct PortSummary {
  std::string ip;
  std::uint16_t private_port = 0;
  std::uint16_t public_port = 0;
  std::string type;
};

struct SummaryHostConfig {
  std::string network_mode;
  Labels annotations;
};

struct SummaryNetworks {
  EndpointsConfig networks;
};

struct ContainerSummary {
  std::string id;
  std::vector<std::string> names;
  std::string image;
  std::string image_id;
  std::string command;
  std::int64_t created = 0;
  std::vector<PortSummary> ports;
  std::optional<std::int64_t> size_rw;
  std::optional<std::int64_t> size_root_fs;
  Labels labels;
  std::string state;
  std::string status;  // "Up 4 seconds (healthy)", "Exited (0) 2 minutes ago"
  SummaryHostConfig host_config;
  SummaryNetworks network_settings;
  std::vector<MountPoint> mounts;
};

struct ExecProcessConfig {
  bool tty = false;
  std::string entrypoint;
  std::vector<std::string> arguments;
  bool privileged = false;
  std::string user;
};

struct ExecInspect {
  std::string id;
  bool running = false;
  std::optional<int> exit_code;
  ExecProcessConfig process_config;
  bool open_stdin = false;
  bool open_stderr = false;
  bool open_stdout = false;
  bool can_remove = false;
  std::string container_id;
  std::string detach_keys;
  int pid = 0;
};

struct TopResult {
  std::vector<std::string> titles;
  std::vector<std::vector<std::string>> processes;
};

struct PathChange {
  std::string path;
  int kind = 0;  // 0 modified, 1 added, 2 deleted
};

}  // namespace bryo::engine

namespace bryo::json {

template <>
struct Fields<engine::HealthResult> {
  using T = engine::HealthResult;
  static constexpr auto list = std::tuple{field("Start", &T::start), field("End", &T::end),
                                          field("ExitCode", &T::exit_code), field("Output", &T::output)};
};

template <>
struct Fields<engine::Health> {
  using T = engine::Health;
  static constexpr auto list =
      std::tuple{field("Status", &T::status), field("FailingStreak", &T::failing_streak), field("Log", &T::log)};
};

template <>
struct Fields<engine::ContainerState> {
  using T = engine::ContainerState;
  static constexpr auto list = std::tuple{field("Status", &T::status),
                                          field("Running", &T::running),
                                          field("Paused", &T::paused),
                                          field("Restarting", &T::restarting),
                                          field("OOMKilled", &T::oom_killed),
                                          field("Dead", &T::dead),
                                          field("Pid", &T::pid),
                                          field("ExitCode", &T::exit_code),
                                          field("Error", &T::error),
                                          field("StartedAt", &T::started_at),
                                          field("FinishedAt", &T::finished_at),
                                          field("Health", &T::health, omit_empty)};
};

template <>
struct Fields<engine::MountPoint> {
  using T = engine::MountPoint;
  static constexpr auto list = std::tuple{field("Type", &T::type),
                                          field("Name", &T::name, omit_empty),
                                          field("Source", &T::source),
                                          field("Destination", &T::destination),
                                          field("Driver", &T::driver, omit_empty),
                                          field("Mode", &T::mode),
                                          field("RW", &T::rw),
                                          field("Propagation", &T::propagation)};
};

template <>
struct Fields<engine::GraphDriverData> {
  using T = engine::GraphDriverData;
  static constexpr auto list = std::tuple{field("Data", &T::data), field("Name", &T::name)};
};

template <>
struct Fields<engine::ContainerInspect> {
  using T = engine::ContainerInspect;
  static constexpr auto list = std::tuple{field("Id", &T::id),
                                          field("Created", &T::created),
                                          field("Path", &T::path),
                                          field("Args", &T::args),
                                          field("State", &T::state),
                                          field("Image", &T::image),
                                          field("ResolvConfPath", &T::resolv_conf_path),
                                          field("HostnamePath", &T::hostname_path),
                                          field("HostsPath", &T::hosts_path),
                                          field("LogPath", &T::log_path),
                                          field("Name", &T::name),
                                          field("RestartCount", &T::restart_count),
                                          field("Driver", &T::driver),
                                          field("Platform", &T::platform),
                                          field("MountLabel", &T::mount_label),
                                          field("ProcessLabel", &T::process_label),
                                          field("AppArmorProfile", &T::app_armor_profile),
                                          field("ExecIDs", &T::exec_ids),
                                          field("HostConfig", &T::host_config),
                                          field("GraphDriver", &T::graph_driver),
                                          field("SizeRw", &T::size_rw, omit_empty),
                                          field("SizeRootFs", &T::size_root_fs, omit_empty),
                                          field("Mounts", &T::mounts),
                                          field("Config", &T::config),
                                          field("NetworkSettings", &T::network_settings),
                                          field("IdMaps", &T::id_maps, omit_empty)};
};

template <>
struct Fields<engine::PortSummary> {
  using T = engine::PortSummary;
  static constexpr auto list = std::tuple{field("IP", &T::ip, omit_empty), field("PrivatePort", &T::private_port),
                                          field("PublicPort", &T::public_port, omit_empty), field("Type", &T::type)};
};

template <>
struct Fields<engine::SummaryHostConfig> {
  using T = engine::SummaryHostConfig;
  static constexpr auto list =
      std::tuple{field("NetworkMode", &T::network_mode, omit_empty), field("Annotations", &T::annotations, omit_empty)};
};

template <>
struct Fields<engine::SummaryNetworks> {
  using T = engine::SummaryNetworks;
  static constexpr auto list = std::tuple{field("Networks", &T::networks)};
};

template <>
struct Fields<engine::ContainerSummary> {
  using T = engine::ContainerSummary;
  static constexpr auto list = std::tuple{field("Id", &T::id),
                                          field("Names", &T::names),
                                          field("Image", &T::image),
                                          field("ImageID", &T::image_id),
                                          field("Command", &T::command),
                                          field("Created", &T::created),
                                          field("Ports", &T::ports),
                                          field("SizeRw", &T::size_rw, omit_empty),
                                          field("SizeRootFs", &T::size_root_fs, omit_empty),
                                          field("Labels", &T::labels),
                                          field("State", &T::state),
                                          field("Status", &T::status),
                                          field("HostConfig", &T::host_config),
                                          field("NetworkSettings", &T::network_settings),
                                          field("Mounts", &T::mounts)};
};

template <>
struct Fields<engine::ExecProcessConfig> {
  using T = engine::ExecProcessConfig;
  static constexpr auto list =
      std::tuple{field("tty", &T::tty), field("entrypoint", &T::entrypoint), field("arguments", &T::arguments),
                 field("privileged", &T::privileged), field("user", &T::user, omit_empty)};
};

template <>
struct Fields<engine::ExecInspect> {
  using T = engine::ExecInspect;
  static constexpr auto list = std::tuple{field("ID", &T::id),
                                          field("Running", &T::running),
                                          field("ExitCode", &T::exit_code),
                                          field("ProcessConfig", &T::process_config),
                                          field("OpenStdin", &T::open_stdin),
                                          field("OpenStderr", &T::open_stderr),
                                          field("OpenStdout", &T::open_stdout),
                                          field("CanRemove", &T::can_remove),
                                          field("ContainerID", &T::container_id),
                                          field("DetachKeys", &T::detach_keys),
                                          field("Pid", &T::pid)};
};

template <>
struct Fields<engine::TopResult> {
  using T = engine::TopResult;
  static constexpr auto list = std::tuple{field("Titles", &T::titles), field("Processes", &T::processes)};
};

template <>
struct Fields<engine::PathChange> {
  using T = engine::PathChange;
  static constexpr auto list = std::tuple{field("Path", &T::path), field("Kind", &T::kind)};
};

}  // namespace bryo::json

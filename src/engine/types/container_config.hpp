// What a container runs: Docker's ContainerConfig (Engine API v1.47, "Config" of create and inspect; the image's own
// configuration has the same shape). Field names are the API's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/types/values.hpp"

namespace bryo::engine {

// Durations in nanoseconds; 0 inherits or takes Docker's default. Test: {} inherit, {"NONE"} off, {"CMD", …},
// {"CMD-SHELL", "…"}.
struct HealthConfig {
  std::vector<std::string> test;
  std::int64_t interval = 0;
  std::int64_t timeout = 0;
  std::int64_t start_period = 0;
  std::int64_t start_interval = 0;
  int retries = 0;
};

struct ContainerConfig {
  std::string hostname;
  std::string domainname;
  std::string user;
  bool attach_stdin = false;
  bool attach_stdout = false;
  bool attach_stderr = false;
  StringSet exposed_ports;  // "5000/tcp"
  bool tty = false;
  bool open_stdin = false;
  bool stdin_once = false;
  std::optional<std::vector<std::string>> env;
  Words cmd;
  std::optional<HealthConfig> healthcheck;
  std::string image;
  std::optional<StringSet> volumes;
  std::string working_dir;
  Words entrypoint;
  bool network_disabled = false;
  std::string mac_address;
  std::optional<std::vector<std::string>> on_build;
  Labels labels;
  std::string stop_signal;
  std::optional<int> stop_timeout;  // seconds
  std::optional<std::vector<std::string>> shell;
};

}  // namespace bryo::engine

template <>
struct bryo::json::Fields<bryo::engine::HealthConfig> {
  using T = bryo::engine::HealthConfig;
  static constexpr auto list = std::tuple{field("Test", &T::test, omit_empty),
                                          field("Interval", &T::interval, omit_empty),
                                          field("Timeout", &T::timeout, omit_empty),
                                          field("StartPeriod", &T::start_period, omit_empty),
                                          field("StartInterval", &T::start_interval, omit_empty),
                                          field("Retries", &T::retries, omit_empty)};
};

template <>
struct bryo::json::Fields<bryo::engine::ContainerConfig> {
  using T = bryo::engine::ContainerConfig;
  static constexpr auto list = std::tuple{field("Hostname", &T::hostname),
                                          field("Domainname", &T::domainname),
                                          field("User", &T::user),
                                          field("AttachStdin", &T::attach_stdin),
                                          field("AttachStdout", &T::attach_stdout),
                                          field("AttachStderr", &T::attach_stderr),
                                          field("ExposedPorts", &T::exposed_ports, omit_empty),
                                          field("Tty", &T::tty),
                                          field("OpenStdin", &T::open_stdin),
                                          field("StdinOnce", &T::stdin_once),
                                          field("Env", &T::env),
                                          field("Cmd", &T::cmd),
                                          field("Healthcheck", &T::healthcheck, omit_empty),
                                          field("Image", &T::image),
                                          field("Volumes", &T::volumes),
                                          field("WorkingDir", &T::working_dir),
                                          field("Entrypoint", &T::entrypoint),
                                          field("NetworkDisabled", &T::network_disabled, omit_empty),
                                          field("MacAddress", &T::mac_address, omit_empty),
                                          field("OnBuild", &T::on_build),
                                          field("Labels", &T::labels),
                                          field("StopSignal", &T::stop_signal, omit_empty),
                                          field("StopTimeout", &T::stop_timeout, omit_empty),
                                          field("Shell", &T::shell, omit_empty)};
};

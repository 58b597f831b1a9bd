#include "base/strings.hpp"
#include "engine/create.hpp"

namespace bryo::engine {
namespace {

std::string_view key_of(std::string_view variable) { return variable.substr(0, variable.find('=')); }

void merge_env(std::vector<std::string>& env, const std::vector<std::string>& image) {
  std::vector<std::string> merged;
  for (const std::string& variable : image) {
    bool overridden = false;
    for (const std::string& own : env) overridden = overridden || key_of(own) == key_of(variable);
    if (!overridden) merged.push_back(variable);
  }
  merged.insert(merged.end(), env.begin(), env.end());
  env = std::move(merged);
}

void merge_health(ContainerConfig& config, const std::optional<oci::HealthCheck>& image) {
  if (!image) return;
  if (!config.healthcheck) config.healthcheck.emplace();
  HealthConfig& own = *config.healthcheck;
  if (own.test.empty()) own.test = image->test;
  if (own.interval == 0) own.interval = image->interval;
  if (own.timeout == 0) own.timeout = image->timeout;
  if (own.start_period == 0) own.start_period = image->start_period;
  if (own.start_interval == 0) own.start_interval = image->start_interval;
  if (own.retries == 0) own.retries = static_cast<int>(image->retries);
}

template <typename Set>
StringSet to_set(const Set& from) {
  StringSet out;
  for (const auto& [key, nothing] : from) out[key];
  return out;
}

}  // namespace

void merge_image_config(ContainerConfig& config, const oci::RunConfig& image) {
  if (config.user.empty()) config.user = image.user;
  for (const auto& [port, nothing] : image.exposed_ports) config.exposed_ports[port];
  if (image.env) {
    if (!config.env) config.env.emplace();
    merge_env(*config.env, *image.env);
  }
  if (image.labels)
    for (const auto& [key, value] : *image.labels) config.labels.emplace(key, value);
  // An entrypoint of one's own drops the image's command, too.
  if (config.entrypoint.empty() &&
      !(config.entrypoint.items && !config.cmd.empty() && config.entrypoint.items->empty())) {
    if (config.cmd.empty()) config.cmd.items = image.cmd;
    if (!config.entrypoint.items) config.entrypoint.items = image.entrypoint;
  }
  // `--entrypoint ""` arrives as [""]: no entrypoint at all.
  if (config.entrypoint.items && config.entrypoint.items->size() == 1 && config.entrypoint.items->front().empty())
    config.entrypoint.items.reset();
  merge_health(config, image.healthcheck);
  if (config.working_dir.empty()) config.working_dir = image.working_dir;
  if (image.volumes) {
    if (!config.volumes) config.volumes.emplace();
    for (const auto& [path, nothing] : *image.volumes) (*config.volumes)[path];
  }
  if (config.stop_signal.empty()) config.stop_signal = image.stop_signal;
  if (!config.on_build) config.on_build = image.on_build;
  if (!config.shell) config.shell = image.shell;
}

ContainerConfig from_image_config(const oci::RunConfig& image) {
  ContainerConfig config;
  merge_image_config(config, image);
  return config;
}

oci::RunConfig to_image_config(const ContainerConfig& config) {
  oci::RunConfig out;
  out.user = config.user;
  for (const auto& [port, nothing] : config.exposed_ports) out.exposed_ports[port];
  out.env = config.env;
  out.cmd = config.cmd.items;
  out.entrypoint = config.entrypoint.items;
  if (config.healthcheck) {
    const HealthConfig& health = *config.healthcheck;
    out.healthcheck.emplace();
    out.healthcheck->test = health.test;
    out.healthcheck->interval = health.interval;
    out.healthcheck->timeout = health.timeout;
    out.healthcheck->start_period = health.start_period;
    out.healthcheck->start_interval = health.start_interval;
    out.healthcheck->retries = health.retries;
  }
  if (config.volumes) {
    out.volumes.emplace();
    for (const auto& [path, nothing] : *config.volumes) (*out.volumes)[path];
  }
  out.working_dir = config.working_dir;
  if (!config.labels.empty()) out.labels = config.labels;
  out.stop_signal = config.stop_signal;
  out.on_build = config.on_build;
  out.shell = config.shell;
  return out;
}

}  // namespace bryo::engine

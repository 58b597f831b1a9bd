#include "engine/views.hpp"

#include "base/error.hpp"
#include "engine/ports.hpp"

namespace bryo::engine {
namespace {

using std::chrono::seconds;

EndpointSettings endpoint_view(const network::Endpoint& endpoint, const EndpointsConfig& asked) {
  EndpointSettings out;
  if (const auto found = asked.find(endpoint.network_name); found != asked.end()) out = found->second;
  out.network_id = endpoint.network_id;
  out.endpoint_id = endpoint.endpoint_id;
  out.gateway = endpoint.gateway;
  out.ip_address = endpoint.ip_address;
  out.ip_prefix_len = endpoint.ip_prefix_length;
  out.ipv6_gateway = endpoint.ipv6_gateway;
  out.global_ipv6_address = endpoint.ipv6_address;
  out.global_ipv6_prefix_len = endpoint.ipv6_prefix_length;
  out.mac_address = endpoint.mac;
  if (!endpoint.aliases.empty()) out.aliases = endpoint.aliases;
  if (!endpoint.dns_names.empty()) out.dns_names = endpoint.dns_names;
  return out;
}

EndpointsConfig endpoints_view(const Container& container) {
  EndpointsConfig out;
  if (container.endpoints.empty()) {
    for (const auto& [name, settings] : container.record.networks) out[name == "default" ? "bridge" : name] = settings;
  }
  for (const auto& endpoint : container.endpoints)
    out[endpoint.network_name] = endpoint_view(endpoint, container.record.networks);
  return out;
}

std::vector<MountPoint> mounts_view(const Record& record) {
  std::vector<MountPoint> out;
  for (const ResolvedMount& mount : record.mounts)
    if (mount.point.type != "tmpfs" || !record.host_config.tmpfs.contains(mount.point.destination))
      out.push_back(mount.point);
  return out;
}

}  // namespace

ContainerState state_view(const Container& container) {
  ContainerState out;
  const Record& record = container.record;
  out.status = to_string(container.status);
  out.running = container.is_up() || container.status == Status::restarting;
  out.paused = container.status == Status::paused;
  out.restarting = container.status == Status::restarting;
  out.dead = container.status == Status::dead;
  out.oom_killed = record.oom_killed;
  out.pid = container.process.pid;
  out.exit_code = container.is_up() ? 0 : record.exit_code;
  out.error = record.error;
  out.started_at = record.started_at.empty() ? std::string(kZeroTime) : record.started_at;
  out.finished_at = record.finished_at.empty() ? std::string(kZeroTime) : record.finished_at;
  out.health = container.health;
  return out;
}

NetworkSettings network_view(const Container& container, const network::NetworkManager&) {
  NetworkSettings out;
  out.networks = endpoints_view(container);
  if (container.is_up()) {
    out.ports = port_view(container.record, container.ports);
    out.sandbox_id = container.record.id;
    out.sandbox_key = fmt::format("/proc/{}/ns/net", container.process.pid);
  }
  if (const auto bridge = out.networks.find("bridge"); bridge != out.networks.end()) {
    const EndpointSettings& from = bridge->second;
    out.endpoint_id = from.endpoint_id;
    out.gateway = from.gateway;
    out.ip_address = from.ip_address;
    out.ip_prefix_len = from.ip_prefix_len;
    out.ipv6_gateway = from.ipv6_gateway;
    out.global_ipv6_address = from.global_ipv6_address;
    out.global_ipv6_prefix_len = from.global_ipv6_prefix_len;
    out.mac_address = from.mac_address;
  }
  return out;
}

ContainerInspect inspect_view(Services& services, const ContainerPtr& container, bool size) {
  ContainerInspect out;
  {
    std::lock_guard lock(container->mutex);
    const Record& record = container->record;
    const std::string directory = services.container_directory(record.id);
    out.id = record.id;
    out.created = record.created;
    out.path = record.path;
    out.args = record.args;
    out.state = state_view(*container);
    out.image = record.image_id;
    const std::string runtime = services.runtime_directory(record.id);
    out.resolv_conf_path = runtime + "/resolv.conf";
    out.hostname_path = runtime + "/hostname";
    out.hosts_path = runtime + "/hosts";
    if (record.host_config.log_config.type != "none") out.log_path = directory + "/" + record.id + "-json.log";
    out.name = "/" + record.name;
    out.restart_count = record.restart_count;
    out.driver = record.driver;
    out.platform = record.platform;
    if (!container->execs.empty()) out.exec_ids.emplace(container->execs.begin(), container->execs.end());
    out.host_config = record.host_config;
    out.app_armor_profile = services.apparmor->profile_of(record.host_config);
    out.mounts = mounts_view(record);
    out.config = record.config;
    out.network_settings = network_view(*container, services.networks);
    if (!record.maps.is_identity())
      out.id_maps = json::Object{
          {"Mode", record.map_mode}, {"Uid", record.maps.uid.proc_text()}, {"Gid", record.maps.gid.proc_text()}};
  }
  out.graph_driver.name = out.driver;
  if (services.snapshots->exists(services.snapshot_of(out.id))) {
    const auto description = services.snapshots->describe(services.snapshot_of(out.id));
    if (!description.upper.empty()) {
      out.graph_driver.data["UpperDir"] = description.upper;
      out.graph_driver.data["WorkDir"] = description.work;
      std::string lower;
      for (const std::string& one : description.lower)
        lower += (lower.empty() ? "" : ":") + description.layers_directory + "/" + one;
      out.graph_driver.data["LowerDir"] = lower;
    }
    if (size) {
      const auto usage = services.snapshots->usage(services.snapshot_of(out.id));
      out.size_rw = static_cast<std::int64_t>(usage.writable_bytes);
      out.size_root_fs = static_cast<std::int64_t>(usage.virtual_bytes);
    }
  }
  return out;
}

std::string human_duration(seconds duration) {
  const auto s = duration.count();
  const auto minutes = s / 60;
  const double hours_exact = static_cast<double>(s) / 3600;
  const auto hours = static_cast<long>(hours_exact + 0.5);
  if (s < 1) return "Less than a second";
  if (s == 1) return "1 second";
  if (s < 60) return fmt::format("{} seconds", s);
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return fmt::format("{} minutes", minutes);
  if (hours == 1) return "About an hour";
  if (hours < 48) return fmt::format("{} hours", hours);
  if (hours < 24 * 7 * 2) return fmt::format("{} days", hours / 24);
  if (hours < 24 * 30 * 2) return fmt::format("{} weeks", hours / 24 / 7);
  if (hours < 24 * 365 * 2) return fmt::format("{} months", hours / 24 / 30);
  return fmt::format("{} years", hours / 24 / 365);
}

std::string status_text(const Container& container, WallTime now) {
  const auto since = [&](const std::string& text) {
    const auto time = parse_rfc3339(text);
    return human_duration(time ? std::chrono::floor<seconds>(now - *time) : seconds(0));
  };
  const Record& record = container.record;
  switch (container.status) {
    case Status::paused:
      return fmt::format("Up {} (Paused)", since(record.started_at));
    case Status::running: {
      std::string text = "Up " + since(record.started_at);
      if (container.health)
        text += container.health->status == "starting" ? " (health: starting)"
                                                       : fmt::format(" ({})", container.health->status);
      return text;
    }
    case Status::restarting:
      return fmt::format("Restarting ({}) {} ago", record.exit_code, since(record.finished_at));
    case Status::removing:
      return "Removal In Progress";
    case Status::dead:
      return "Dead";
    case Status::created:
      return "Created";
    case Status::exited:
      return fmt::format("Exited ({}) {} ago", record.exit_code, since(record.finished_at));
  }
  return "";
}

}  // namespace bryo::engine

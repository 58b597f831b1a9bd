#include "engine/system_uses.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "engine/process_group.hpp"
#include "engine/views.hpp"
#include "kernel/host.hpp"
#include "oci/cdi/registry.hpp"

namespace bryo::engine {
namespace {

std::string go_architecture() {
  const std::string machine = kernel::architecture();
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  return machine;
}

json::Array discovered_devices(const Options& options) {
  json::Array out;
  for (const std::string& name : oci::cdi::Registry::scan(options.cdi_spec_dirs).names())
    out.push_back(json::Object{{"Source", "cdi"}, {"ID", name}});
  return out;
}

json::Array security_options(const Services& services) {
  json::Array out{"name=seccomp,profile=builtin"};
  if (services.cgroups.version() == kernel::CgroupVersion::v2 || services.options.rootless)
    out.push_back("name=cgroupns");
  if (services.options.rootless) out.push_back("name=rootless");
  if (services.ids.remapped()) out.push_back("name=userns");
  if (services.apparmor->active()) out.push_back("name=apparmor");
  return out;
}

json::Array driver_status(const Services& services) {
  json::Array out;
  for (const auto& [key, value] : services.snapshots->status())
    out.push_back(json::Array{json::Value(key), json::Value(value)});
  if (services.ids.remapped()) {
    const auto& maps = services.ids.maps();
    out.push_back(json::Array{"User Namespace", json::Value(services.ids.user() + ":" + services.ids.group())});
    out.push_back(json::Array{"UID Map", json::Value(std::string(trim(maps.uid.proc_text())))});
    out.push_back(json::Array{"GID Map", json::Value(std::string(trim(maps.gid.proc_text())))});
  }
  return out;
}

// As dockerd words them; tools look for some.
json::Value warnings(const Services& services) {
  std::vector<std::string> out = services.networks.warnings();
  const kernel::CgroupLayout& cgroups = services.cgroups;
  if (cgroups.version() == kernel::CgroupVersion::none) {
    out.push_back("WARNING: Containers have no cgroups, so nothing limits them: " + services.cgroup_remedy(""));
    return json::encode(out);
  }
  const auto need = [&](std::string_view controller, std::initializer_list<std::string_view> what) {
    if (cgroups.has(controller)) return;
    for (const std::string_view name : what) out.push_back(fmt::format("WARNING: No {} support", name));
  };
  need("memory", {"memory limit", "swap limit"});
  need("cpu", {"cpu cfs quota", "cpu cfs period", "cpu shares"});
  need("cpuset", {"cpuset"});
  need("pids", {"pids limit"});
  need("blkio", {"blkio weight", "io.max"});
  return json::encode(out);
}

void count_containers(const Services& services, json::Object& out) {
  std::int64_t running = 0, paused = 0, stopped = 0;
  for (const ContainerPtr& container : services.containers.all()) {
    std::lock_guard lock(container->mutex);
    if (container->status == Status::paused)
      ++paused;
    else if (container->is_up())
      ++running;
    else
      ++stopped;
  }
  out["Containers"] = running + paused + stopped;
  out["ContainersRunning"] = running;
  out["ContainersPaused"] = paused;
  out["ContainersStopped"] = stopped;
}

bool wants(const std::vector<std::string>& types, std::string_view type) {
  return types.empty() || std::find(types.begin(), types.end(), type) != types.end();
}

// Fields of Resources that the request names, laid over the container's own.
void lay_over(Resources& own, const UpdateRequest& request) {
  json::Value merged = json::encode(own);
  if (!request.given.is_object()) return;
  const json::Value asked = json::encode(request.resources);
  for (const auto& item : request.given.get_object()) {
    for (auto& field : merged.as_object()) {
      if (!iequals({field.key().data(), field.key().size()}, {item.key().data(), item.key().size()})) continue;
      const json::Value& value = asked.as_object().at(field.key());
      // Clients send every field; zero means "leave".
      const bool zero = value.is_null() || (value.is_int64() && value.get_int64() == 0) ||
                        (value.is_uint64() && value.get_uint64() == 0) ||
                        (value.is_string() && value.get_string().empty());
      if (!zero) field.value() = value;
    }
  }
  own = json::decode<Resources>(merged);
}

}  // namespace

json::Value version_view() {
  const json::Object details{{"ApiVersion", kApiVersion},
                             {"Arch", go_architecture()},
                             {"BuildTime", ""},
                             {"Experimental", "false"},
                             {"GitCommit", ""},
                             {"GoVersion", ""},
                             {"KernelVersion", kernel::kernel_release()},
                             {"MinAPIVersion", kMinApiVersion},
                             {"Os", "linux"}};
  json::Object out{{"Platform", json::Object{{"Name", "Bryo"}}}, {"Version", BRYO_VERSION}};
  out["Components"] = json::Array{json::Object{{"Name", "Engine"}, {"Version", BRYO_VERSION}, {"Details", details}}};
  for (const auto& item : details) out[item.key()] = item.value();
  out["Experimental"] = false;
  return out;
}

json::Value info_view(Services& services, const ImageUses& images) {
  json::Object out;
  out["ID"] = Digest::of(kernel::host_name() + services.data_root.path()).hex().substr(0, 32);
  count_containers(services, out);
  out["Images"] = services.images.list().size();
  out["Driver"] = services.snapshots->name();
  out["DriverStatus"] = driver_status(services);
  out["Plugins"] = json::Object{{"Volume", json::Array{"local"}},
                                {"Network", json::Array{"bridge", "host", "null"}},
                                {"Authorization", nullptr},
                                {"Log", json::Array{"json-file", "local", "none"}}};
  const kernel::CgroupLayout& cgroups = services.cgroups;
  out["MemoryLimit"] = cgroups.has("memory");
  out["SwapLimit"] = cgroups.has("memory");
  out["CpuCfsPeriod"] = out["CpuCfsQuota"] = out["CPUShares"] = cgroups.has("cpu");
  out["CPUSet"] = cgroups.has("cpuset");
  out["PidsLimit"] = cgroups.has("pids");
  out["OomKillDisable"] = cgroups.has("memory") && cgroups.version() != kernel::CgroupVersion::v2;
  out["IPv4Forwarding"] = services.options.ip_forward;
  out["BridgeNfIptables"] = out["BridgeNfIp6tables"] = true;
  {
    std::lock_guard lock(services.options_mutex);
    out["Debug"] = services.options.debug;
    out["Labels"] = json::encode(services.options.labels);
  }
  out["NFd"] = 0;
  out["NGoroutines"] = 0;
  out["SystemTime"] = to_rfc3339_nano(wall_now());
  out["LoggingDriver"] = services.options.default_log.type.empty() ? "json-file" : services.options.default_log.type;
  out["CgroupDriver"] = cgroups.version() == kernel::CgroupVersion::none ? "none" : "cgroupfs";
  const Options& options = services.options;
  out["CgroupVersion"] =
      options.rootless && options.rootless->cgroups ? options.rootless->cgroups->version() : cgroups.docker_version();
  out["NEventsListener"] = 0;
  out["KernelVersion"] = kernel::kernel_release();
  out["OperatingSystem"] = kernel::os_release("PRETTY_NAME");
  out["OSVersion"] = kernel::os_release("VERSION_ID");
  out["OSType"] = "linux";
  out["Architecture"] = kernel::architecture();
  out["IndexServerAddress"] = "https://index.docker.io/v1/";
  out["RegistryConfig"] = images.registry_config();
  out["NCPU"] = kernel::processors();
  out["MemTotal"] = kernel::total_memory();
  out["GenericResources"] = nullptr;
  out["DockerRootDir"] =
      services.ids.scope().empty() ? services.data_root.path() : services.data_root.path() + "/" + services.ids.scope();
  out["HttpProxy"] = out["HttpsProxy"] = out["NoProxy"] = "";
  out["Name"] = kernel::host_name();
  out["ExperimentalBuild"] = services.options.experimental;
  out["ServerVersion"] = BRYO_VERSION;
  out["Runtimes"] = json::Object{{"bryo", json::Object{{"path", "bryo-monitor"}}}};
  out["DefaultRuntime"] = "bryo";
  out["Swarm"] = json::Object{
      {"NodeID", ""}, {"NodeAddr", ""},           {"LocalNodeState", "inactive"}, {"ControlAvailable", false},
      {"Error", ""},  {"RemoteManagers", nullptr}};
  out["LiveRestoreEnabled"] = services.options.live_restore;
  out["Isolation"] = "";
  out["InitBinary"] = "bryo-init";
  out["ContainerdCommit"] = out["RuncCommit"] = out["InitCommit"] = json::Object{{"ID", ""}, {"Expected", ""}};
  out["SecurityOptions"] = security_options(services);
  out["Warnings"] = warnings(services);
  out["CDISpecDirs"] = json::encode(options.cdi_spec_dirs);
  out["DiscoveredDevices"] = discovered_devices(options);
  out["IdMaps"] = services.ids.describe();
  return out;
}

json::Value disk_usage_view(Services& services, ImageUses& images, VolumeUses& volumes,
                            const std::vector<std::string>& types) {
  json::Object out{{"LayersSize", services.images.layers_size()}};
  out["Images"] = wants(types, "image") ? images.disk_usage() : json::Value(nullptr);
  if (wants(types, "container"))
    out["Containers"] = json::encode(list_view(services, {.all = true, .limit = 0, .size = true, .filters = {}}));
  else
    out["Containers"] = nullptr;
  out["Volumes"] = wants(types, "volume") ? volumes.disk_usage() : json::Value(nullptr);
  out["BuildCache"] = json::Array{};
  out["BuilderSize"] = 0;
  return out;
}

void rename_container(Services& services, const ContainerPtr& container, std::string_view name) {
  std::lock_guard operation(container->operation);
  if (name.starts_with('/')) name.remove_prefix(1);
  if (name.empty()) fail(ErrorKind::invalid_argument, "Neither old nor new names may be empty");
  std::string old, id;
  {
    std::lock_guard lock(container->mutex);
    old = container->record.name;
    id = container->record.id;
  }
  if (old == name) fail(ErrorKind::invalid_argument, "Renaming a container with the same name as its current name");
  const std::string reserved = services.containers.reserve_name(name, id);
  Record record;
  try {
    std::unique_lock lock(container->mutex);
    record = container->record;
    record.name = reserved;
    lock.unlock();
    services.save(record);
  } catch (...) {
    services.containers.release_name(reserved);
    throw;
  }
  services.containers.rename(id, old, reserved);
  auto endpoints = services.networks.rename(id, reserved);
  {
    std::lock_guard lock(container->mutex);
    container->record.name = reserved;
    if (!endpoints.empty()) container->endpoints = std::move(endpoints);
  }
  services.publish(record, "rename", {{"oldName", "/" + old}});
}

std::vector<std::string> update_container(Services& services, const ContainerPtr& container,
                                          const UpdateRequest& request) {
  std::lock_guard operation(container->operation);
  std::vector<std::string> warnings;
  Record record;
  std::optional<ProcessGroup> group;
  {
    std::lock_guard lock(container->mutex);
    record = container->record;
    if (container->is_up()) group.emplace(services, *container);
  }
  lay_over(record.host_config, request);
  if (request.restart_policy && !request.restart_policy->name.empty()) {
    if (record.host_config.auto_remove)
      fail(ErrorKind::invalid_argument,
           "Restart policy cannot be updated because AutoRemove is enabled for the container");
    record.host_config.restart_policy = *request.restart_policy;
  }
  check_resources(record.host_config, services.limit_rules(), warnings);
  if (group) group->update(cgroup_limits(record.host_config));
  services.save(record);
  {
    std::lock_guard lock(container->mutex);
    container->record.host_config = record.host_config;
  }
  services.publish(record, "update");
  return warnings;
}

json::Value prune_containers(Services& services, Lifecycle& lifecycle, const Filters& filters) {
  json::Array removed;
  std::uint64_t reclaimed = 0;
  ListRequest request{.all = true, .limit = 0, .size = false, .filters = {}};
  std::optional<WallTime> until;
  for (const auto& [name, values] : filters) {
    if (name == "label")
      request.filters[name] = values;
    else if (name == "until" && !values.empty())
      until = parse_timestamp(values.front(), wall_now());
    else if (name != "label!")
      fail(ErrorKind::invalid_argument, "invalid filter '{}'", printable(name));
  }
  for (const auto& summary : list_view(services, request)) {
    if (summary.state != "exited" && summary.state != "created" && summary.state != "dead") continue;
    if (until && WallTime(std::chrono::seconds(summary.created)) > *until) continue;
    const auto container = services.containers.try_find(summary.id);
    if (!container) continue;
    const auto usage = services.snapshots->usage(services.snapshot_of(summary.id));
    try {
      lifecycle.remove(container, {});
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::conflict) continue;  // it was started meanwhile
      throw;
    }
    reclaimed += usage.writable_bytes;
    removed.push_back(boost::json::string(summary.id));
  }
  return json::Object{{"ContainersDeleted", removed.empty() ? json::Value(nullptr) : json::Value(std::move(removed))},
                      {"SpaceReclaimed", reclaimed}};
}

}  // namespace bryo::engine

#include "engine/device_requests.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/strings.hpp"
#include "oci/cdi/registry.hpp"

namespace bryo::engine {

struct DeviceRequest {
  std::string driver;
  std::vector<std::string> ids;
};

}  // namespace bryo::engine

template <>
struct bryo::json::Fields<bryo::engine::DeviceRequest> {
  using T = bryo::engine::DeviceRequest;
  static constexpr auto list = std::tuple{field("Driver", &T::driver), field("DeviceIDs", &T::ids)};
};

namespace bryo::engine {
namespace {

namespace cdi = oci::cdi;

constexpr std::string_view kDriver = "cdi";

template <typename... Values>
[[noreturn]] void refuse(ErrorKind kind, fmt::format_string<Values...> text, Values&&... values) {
  throw Error(kind, "CDI device injection failed: " + fmt::format(text, std::forward<Values>(values)...));
}

std::vector<DeviceRequest> requests_of(const Resources& resources) {
  if (resources.device_requests.is_null()) return {};
  return json::decode<std::vector<DeviceRequest>>(resources.device_requests, "HostConfig.DeviceRequests");
}

void check_net_devices(const cdi::ContainerEdits& edits, const HostConfig& host, bool rootless) {
  for (const cdi::NetDevice& device : edits.net_devices) {
    if (rootless)
      refuse(ErrorKind::unsupported,
             "its specification has the network device {}: an engine without root has none of the host's to give away",
             printable(device.host_name));
    if (host.network_mode == "host")
      refuse(ErrorKind::invalid_argument,
             "its specification has the network device {}: the container needs a network of its own, not the host's",
             printable(device.host_name));
  }
}

char type_of(const struct stat& info) {
  if (S_ISBLK(info.st_mode)) return 'b';
  if (S_ISCHR(info.st_mode)) return 'c';
  return S_ISFIFO(info.st_mode) ? 'p' : '?';
}

// A node that says all about itself need not be on the host.
bool is_complete(const cdi::DeviceNode& node) { return !node.type.empty() && (node.major != 0 || node.type == "p"); }

struct HostNode {
  std::string path;
  std::optional<struct stat> info;
};

HostNode host_node(const cdi::DeviceNode& node, bool needed) {
  HostNode out{node.host_path.empty() ? node.path : node.host_path, std::nullopt};
  struct stat info {};
  const bool there = ::stat(out.path.c_str(), &info) == 0;
  if (!there && (needed || !is_complete(node)))
    refuse(ErrorKind::invalid_argument, "device {}: {} is not on the host", node.path, printable(out.path));
  if (!there) return out;
  const char type = type_of(info);
  if (type == '?') refuse(ErrorKind::invalid_argument, "device {}: {} is not a device node", node.path, out.path);
  const char wanted = node.type.empty() ? type : node.type == "u" ? 'c' : node.type[0];
  if (wanted != type && (needed || !is_complete(node)))
    refuse(ErrorKind::invalid_argument, "device {}: {} has the type {}, not {}", node.path, out.path, type, wanted);
  out.info = info;
  return out;
}

oci::LinuxDevice made_node(const cdi::DeviceNode& node, const oci::User& user) {
  const HostNode host = host_node(node, false);
  oci::LinuxDevice out;
  out.path = node.path;
  out.type = is_complete(node) ? node.type : std::string(1, type_of(*host.info));
  out.major = node.major;
  out.minor = node.minor;
  if (!is_complete(node) && out.type != "p" && node.major == 0) {
    out.major = major(host.info->st_rdev);
    out.minor = minor(host.info->st_rdev);
  }
  if (node.file_mode || host.info) out.file_mode = node.file_mode.value_or(host.info ? host.info->st_mode & 07777U : 0);
  out.uid = node.uid;
  out.gid = node.gid;
  if (!out.uid && user.uid != 0) out.uid = user.uid;
  if (!out.gid && user.gid != 0) out.gid = user.gid;
  return out;
}

void put(std::vector<oci::Mount>& mounts, oci::Mount mount) {
  std::erase_if(mounts, [&](const oci::Mount& other) { return other.destination == mount.destination; });
  mounts.push_back(std::move(mount));
}

void add_nodes(const std::vector<cdi::DeviceNode>& nodes, bool bind_nodes, oci::RuntimeSpec& spec) {
  std::vector<oci::LinuxDevice>& devices = spec.linux_->devices;
  for (const cdi::DeviceNode& node : nodes) {
    std::erase_if(devices, [&](const oci::LinuxDevice& other) { return other.path == node.path; });
    if (bind_nodes)
      put(spec.mounts, {node.path, "bind", host_node(node, true).path, {"bind", "rprivate"}, {}, {}});
    else
      devices.push_back(made_node(node, spec.process->user));
  }
}

oci::Mount mount_of(const cdi::Mount& mount) {
  oci::Mount out{mount.container_path, mount.type, mount.host_path, mount.options, {}, {}};
  const bool says_bind = std::ranges::any_of(out.options, [](const auto& o) { return o == "bind" || o == "rbind"; });
  if (!says_bind && !mount.type.empty() && mount.type != "none" && mount.type != "bind") return out;
  out.type = "bind";
  if (!says_bind) out.options.emplace_back("rbind");
  struct stat info {};
  if (::stat(out.source.c_str(), &info) != 0)
    refuse(ErrorKind::invalid_argument, "mount {}: {} is not on the host", mount.container_path, printable(out.source));
  return out;
}

// Parents before children.
void add_mounts(std::vector<cdi::Mount> mounts, std::vector<oci::Mount>& all) {
  const auto depth = [](const cdi::Mount& mount) { return std::ranges::count(mount.container_path, '/'); };
  std::ranges::stable_sort(mounts, {}, depth);
  for (const cdi::Mount& mount : mounts) put(all, mount_of(mount));
}

void set_variables(const std::vector<std::string>& variables, std::vector<std::string>& environment) {
  for (const std::string& variable : variables) {
    const std::string key = variable.substr(0, variable.find('=') + 1);
    std::erase_if(environment, [&](const std::string& other) { return other.starts_with(key); });
    environment.push_back(variable);
  }
}

void add_hook(const cdi::Hook& hook, oci::Hooks& hooks) {
  const std::pair<std::string_view, std::vector<oci::Hook>&> lists[] = {{"prestart", hooks.prestart},
                                                                        {"createRuntime", hooks.create_runtime},
                                                                        {"createContainer", hooks.create_container},
                                                                        {"startContainer", hooks.start_container},
                                                                        {"poststart", hooks.poststart},
                                                                        {"poststop", hooks.poststop}};
  for (const auto& [name, list] : lists)
    if (name == hook.name) list.push_back({hook.path, hook.args, hook.env, hook.timeout});
}

oci::LinuxIntelRdt intel_rdt_of(const cdi::IntelRdt& from) {
  oci::LinuxIntelRdt out;
  out.clos_id = from.clos_id;
  out.l3_cache_schema = from.l3_cache_schema;
  out.mem_bw_schema = from.mem_bw_schema;
  if (from.schemata) out.schemata = *from.schemata;
  out.enable_monitoring = from.enable_monitoring;
  out.enable_cmt = from.enable_cmt;
  out.enable_mbm = from.enable_mbm;
  return out;
}

}  // namespace

void settle_device_requests(Resources& resources) {
  for (const DeviceRequest& request : requests_of(resources))
    if (request.driver != kDriver)
      fail(ErrorKind::invalid_argument,
           "could not select device driver \"{}\": this engine knows devices by path and by CDI name, such as --device "
           "nvidia.com/gpu=all",
           printable(request.driver));
  if (!resources.devices) return;
  json::Array names;
  std::erase_if(*resources.devices, [&](const DeviceMapping& device) {
    if (!cdi::is_qualified_name(device.path_on_host)) return false;
    names.emplace_back(device.path_on_host);
    return true;
  });
  if (names.empty()) return;
  if (resources.device_requests.is_null()) resources.device_requests = json::Array{};
  resources.device_requests.as_array().push_back(
      json::Object{{"Driver", std::string(kDriver)}, {"DeviceIDs", std::move(names)}});
}

cdi::ContainerEdits cdi_edits(const HostConfig& host, const std::vector<std::string>& directories, bool rootless) {
  std::vector<std::string> names;
  for (DeviceRequest& request : requests_of(host))
    for (std::string& id : request.ids) names.push_back(std::move(id));
  if (names.empty()) return {};
  try {
    cdi::ContainerEdits edits = cdi::Registry::scan(directories).edits_of(names);
    check_net_devices(edits, host, rootless);
    return edits;
  } catch (const Error& error) {
    if (error.message().starts_with("CDI ")) throw;
    throw error.within("CDI device injection failed");
  }
}

void apply_edits(const cdi::ContainerEdits& edits, bool bind_nodes, oci::RuntimeSpec& spec) {
  set_variables(edits.env, spec.process->env);
  add_nodes(edits.device_nodes, bind_nodes, spec);
  add_mounts(edits.mounts, spec.mounts);
  if (!edits.hooks.empty() && !spec.hooks) spec.hooks.emplace();
  for (const cdi::Hook& hook : edits.hooks) add_hook(hook, *spec.hooks);
  if (edits.intel_rdt) spec.linux_->intel_rdt = intel_rdt_of(*edits.intel_rdt);
  for (const std::uint32_t gid : edits.additional_gids)
    if (gid != 0) spec.process->user.additional_gids.push_back(gid);
}

std::vector<kernel::CgroupDeviceRule> device_rules(const cdi::ContainerEdits& edits) {
  std::vector<kernel::CgroupDeviceRule> out;
  for (const cdi::DeviceNode& node : edits.device_nodes) {
    if (node.permissions == "none") continue;
    const oci::LinuxDevice device = made_node(node, {});
    if (device.type == "p") continue;
    out.push_back({.allow = true,
                   .type = device.type == "b" ? 'b' : 'c',
                   .major = static_cast<std::uint32_t>(device.major),
                   .minor = static_cast<std::uint32_t>(device.minor),
                   .access = node.permissions.empty() ? "rwm" : node.permissions});
  }
  return out;
}

}  // namespace bryo::engine

#include "api/compat.hpp"

#include "base/strings.hpp"
#include "base/time.hpp"

namespace bryo::api {
namespace {

bool older(ApiVersion version, unsigned minor) { return version < ApiVersion{1, minor}; }

bool is_empty_array(const json::Value* value) {
  return value == nullptr || value->is_null() || (value->is_array() && value->get_array().empty());
}

// VirtualSize repeats Size until 1.44.
void adapt_size(json::Value& image, ApiVersion version) {
  auto* object = image.if_object();
  if (object == nullptr) return;
  if (!older(version, 44)) {
    object->erase("VirtualSize");
  } else if (const json::Value* size = object->if_contains("Size")) {
    object->emplace("VirtualSize", json::Value(*size));  // where it is not there already
  }
}

// "name=seccomp,profile=builtin" → "seccomp".
json::Array plain_security_options(const json::Array& options) {
  json::Array out;
  for (const json::Value& option : options) {
    if (!option.is_string()) continue;
    std::string_view text(option.get_string().data(), option.get_string().size());
    text = text.substr(0, text.find(','));
    if (text.starts_with("name=")) text.remove_prefix(5);
    out.push_back(json::encode(text));
  }
  return out;
}

void check_mount(const engine::MountSpec& mount) {
  const auto refuse = [&](const char* options) {
    fail(ErrorKind::invalid_argument, "{} must not be specified on mount type \"{}\"", options, printable(mount.type));
  };
  if (mount.volume_options && mount.type != "volume") refuse("VolumeOptions");
  if (mount.bind_options && mount.type != "bind") refuse("BindOptions");
  if (mount.tmpfs_options && mount.type != "tmpfs") refuse("TmpfsOptions");
}

void adapt_mount(engine::MountSpec& mount, ApiVersion version) {
  if (!older(version, 42)) return check_mount(mount);
  if (mount.bind_options) mount.bind_options->create_mountpoint = false;
  if (mount.bind_options && older(version, 40)) mount.bind_options->non_recursive = false;
  if (mount.type != "volume") mount.volume_options.reset();
  if (mount.type != "tmpfs") mount.tmpfs_options.reset();
}

// Fields that came after every mount had its own kind of options.
void drop_newer_options(engine::MountSpec& mount, ApiVersion version) {
  if (older(version, 44) && mount.bind_options)
    mount.bind_options->read_only_non_recursive = mount.bind_options->read_only_force_recursive = false;
  if (older(version, 45) && mount.volume_options) mount.volume_options->subpath.clear();
  if (older(version, 46) && mount.tmpfs_options) mount.tmpfs_options->options.clear();
}

void adapt_health(engine::ContainerConfig& config, ApiVersion version) {
  if (older(version, 44) && config.healthcheck) config.healthcheck->start_interval = 0;
}

// One network at create, and one MAC address for the container, until 1.44; since then each endpoint may have its own,
// and the container's is that of its first network.
void adapt_endpoints(engine::CreateRequest& request, ApiVersion version) {
  engine::EndpointsConfig& endpoints = request.networking.endpoints_config;
  if (older(version, 44)) {
    std::vector<std::string> names;
    for (auto& [name, settings] : endpoints) {
      settings.mac_address.clear();
      names.push_back(name);
    }
    if (names.size() > 1)
      fail(ErrorKind::invalid_argument, "Container cannot be connected to network endpoints: {}",
           printable(join(names, ", ")));
    return;
  }
  const auto main = endpoints.find(request.host_config.network_mode);
  if (main == endpoints.end() || request.config.mac_address.empty()) return;
  if (!main->second.mac_address.empty() && main->second.mac_address != request.config.mac_address)
    fail(ErrorKind::invalid_argument,
         "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left "
         "empty");
}

}  // namespace

void adapt_info(json::Value& info, ApiVersion version) {
  auto* object = info.if_object();
  if (object == nullptr || !older(version, 25)) return;
  if (json::Value* options = object->if_contains("SecurityOptions"); options != nullptr && options->is_array())
    *options = plain_security_options(options->get_array());
}

void adapt_disk_usage(json::Value& usage, ApiVersion version) {
  auto* object = usage.if_object();
  if (object == nullptr) return;
  if (json::Value* images = object->if_contains("Images"); images != nullptr && images->is_array())
    for (json::Value& image : images->get_array()) adapt_size(image, version);
  if (!older(version, 42))
    object->erase("BuilderSize");
  else if (!object->contains("BuilderSize"))
    object->emplace("BuilderSize", 0);
}

void adapt_image_list(json::Value& images, ApiVersion version) {
  if (!images.is_array()) return;
  for (json::Value& image : images.get_array()) {
    adapt_size(image, version);
    auto* object = image.if_object();
    if (object == nullptr || !older(version, 43)) continue;
    if (!is_empty_array(object->if_contains("RepoTags")) || !is_empty_array(object->if_contains("RepoDigests")))
      continue;
    (*object)["RepoTags"] = json::Array{"<none>:<none>"};
    (*object)["RepoDigests"] = json::Array{"<none>@<none>"};
  }
}

void adapt_image_inspect(json::Value& image, ApiVersion version) {
  adapt_size(image, version);
  auto* object = image.if_object();
  if (object == nullptr) return;
  if (json::Value* created = object->if_contains("Created"); created != nullptr && *created == json::Value("")) {
    if (older(version, 44))
      *created = json::encode(kZeroTime);
    else
      object->erase("Created");
  }
  if (older(version, 45)) return;
  object->erase("Container");
  object->erase("ContainerConfig");
}

// The short id was among the aliases until DNSNames had it.
void adapt_inspect(engine::ContainerInspect& container, ApiVersion version) {
  if (!older(version, 45)) return;
  for (auto& [name, endpoint] : container.network_settings.networks) {
    if (!endpoint.dns_names) continue;
    if (!endpoint.aliases) endpoint.aliases.emplace();
    endpoint.aliases->push_back(container.id.substr(0, 12));
  }
}

void adapt_create(engine::CreateRequest& request, ApiVersion version) {
  engine::HostConfig& host = request.host_config;
  for (engine::MountSpec& mount : host.mounts) {
    adapt_mount(mount, version);
    drop_newer_options(mount, version);
  }
  adapt_health(request.config, version);
  adapt_endpoints(request, version);
  if (older(version, 40) && host.ipc_mode.empty()) host.ipc_mode = "shareable";
  if (older(version, 41)) request.platform.clear();
  if (older(version, 42)) host.console_size = {};
  if (older(version, 43)) host.annotations.clear();
}

json::Value wait_body(const engine::WaitResult& result, ApiVersion version) {
  json::Object out{{"StatusCode", result.status_code}};
  if (result.error)
    out.emplace("Error", json::Object{{"Message", json::encode(*result.error)}});
  else if (!older(version, 30) && older(version, 42))
    out.emplace("Error", nullptr);
  return out;
}

}  // namespace bryo::api

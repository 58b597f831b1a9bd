#include "api/compat.hpp"

#include "base/strings.hpp"

namespace bryo::api {
namespace {

bool older(ApiVersion version, unsigned minor) { return version < ApiVersion{1, minor}; }

bool is_empty_array(const json::Value* value) {
  return value == nullptr || value->is_null() || (value->is_array() && value->get_array().empty());
}

// VirtualSize repeats Size until 1.44.
void add_virtual_size(json::Value& image) {
  auto* object = image.if_object();
  if (object == nullptr || object->contains("VirtualSize")) return;
  if (const json::Value* size = object->if_contains("Size")) object->emplace("VirtualSize", json::Value(*size));
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
    for (json::Value& image : images->get_array()) add_virtual_size(image);
  if (!older(version, 42))
    object->erase("BuilderSize");
  else if (!object->contains("BuilderSize"))
    object->emplace("BuilderSize", 0);
}

void adapt_image_list(json::Value& images, ApiVersion version) {
  if (!images.is_array()) return;
  for (json::Value& image : images.get_array()) {
    add_virtual_size(image);
    auto* object = image.if_object();
    if (object == nullptr || !older(version, 43)) continue;
    if (!is_empty_array(object->if_contains("RepoTags")) || !is_empty_array(object->if_contains("RepoDigests")))
      continue;
    (*object)["RepoTags"] = json::Array{"<none>:<none>"};
    (*object)["RepoDigests"] = json::Array{"<none>@<none>"};
  }
}

void adapt_image_inspect(json::Value& image) { add_virtual_size(image); }

void adapt_create(engine::CreateRequest& request, ApiVersion version) {
  engine::HostConfig& host = request.host_config;
  for (engine::MountSpec& mount : host.mounts) adapt_mount(mount, version);
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

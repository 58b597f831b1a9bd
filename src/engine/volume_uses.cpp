#include "engine/volume_uses.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::engine {
namespace {

json::Value view(const storage::Volume& volume) {
  json::Object out{{"CreatedAt", volume.created}, {"Driver", volume.driver}};
  out["Labels"] = volume.labels.empty() ? json::Value(nullptr) : json::encode(volume.labels);
  out["Mountpoint"] = volume.mountpoint;
  out["Name"] = volume.name;
  out["Options"] = volume.options.empty() ? json::Value(nullptr) : json::encode(volume.options);
  out["Scope"] = "local";
  return out;
}

bool is_true(const std::string& text) { return text == "true" || text == "1" || text == "t"; }

}  // namespace

std::vector<std::string> VolumeUses::users_of(const std::string& name) const {
  std::vector<std::string> out;
  for (const ContainerPtr& container : s_.containers.all()) {
    std::lock_guard lock(container->mutex);
    const auto& mounts = container->record.mounts;
    if (std::any_of(mounts.begin(), mounts.end(), [&](const ResolvedMount& mount) {
          return mount.point.type == "volume" && mount.point.name == name;
        }))
      out.push_back(container->record.id);
  }
  return out;
}

bool VolumeUses::matches(const storage::Volume& volume, const Filters& filters) const {
  const auto any = [](const std::vector<std::string>& values, const auto& test) {
    return std::any_of(values.begin(), values.end(), test);
  };
  for (const auto& [name, values] : filters) {
    bool ok = true;
    if (name == "name")
      ok = any(values, [&](auto& x) { return volume.name.find(x) != std::string::npos; });
    else if (name == "driver")
      ok = any(values, [&](auto& x) { return volume.driver == x; });
    else if (name == "dangling")
      ok = any(values, [&](auto& x) { return is_true(x) == users_of(volume.name).empty(); });
    else if (name == "label")
      ok = std::all_of(values.begin(), values.end(), [&](auto& x) {
        const auto parts = split_once(x, '=');
        const auto found = volume.labels.find(std::string(parts ? parts->first : std::string_view(x)));
        return found != volume.labels.end() && (!parts || found->second == parts->second);
      });
    else if (name != "all" && name != "until")
      fail(ErrorKind::invalid_argument, "invalid filter '{}'", printable(name));
    if (!ok) return false;
  }
  return true;
}

json::Value VolumeUses::list(const Filters& filters) {
  matches({}, filters);  // also when there is no volume, unknown filters are an error
  json::Array out;
  for (const auto& volume : s_.volumes.list(s_.ids.scope()))
    if (matches(volume, filters)) out.push_back(view(volume));
  return json::Object{{"Volumes", std::move(out)}, {"Warnings", nullptr}};
}

json::Value VolumeUses::inspect(std::string_view name) { return view(s_.volumes.get(s_.ids.scope(), name)); }

json::Value VolumeUses::create(const VolumeCreateRequest& request) {
  const bool existed = !request.name.empty() && s_.volumes.find(s_.ids.scope(), request.name).has_value();
  const auto volume =
      s_.volumes.create({s_.ids.scope(), request.name, request.driver, request.driver_opts, request.labels});
  if (!existed) s_.events.publish("volume", "create", volume.name, {{"driver", volume.driver}});
  return view(volume);
}

void VolumeUses::remove(std::string_view name, bool force) {
  const auto volume = s_.volumes.find(s_.ids.scope(), name);
  if (!volume && force) return;
  const auto found = s_.volumes.get(s_.ids.scope(), name);
  const auto users = users_of(found.name);
  if (!users.empty()) fail(ErrorKind::conflict, "remove {}: volume is in use - [{}]", found.name, join(users, ", "));
  s_.volumes.remove(s_.ids.scope(), found.name);
  s_.events.publish("volume", "destroy", found.name, {{"driver", found.driver}});
}

json::Value VolumeUses::prune(const Filters& filters) {
  const auto all = filters.find("all");
  const bool named_too = all != filters.end() && !all->second.empty() && is_true(all->second.front());
  json::Array removed;
  std::uint64_t reclaimed = 0;
  for (const auto& volume : s_.volumes.list(s_.ids.scope())) {
    if ((!volume.anonymous && !named_too) || !users_of(volume.name).empty() || !matches(volume, filters)) continue;
    if (!s_.volumes.mount_of(volume)) reclaimed += s_.volumes.size(volume);
    s_.volumes.remove(volume.scope, volume.name);
    removed.push_back(boost::json::string(volume.name));
    s_.events.publish("volume", "destroy", volume.name, {{"driver", volume.driver}});
  }
  return json::Object{{"VolumesDeleted", std::move(removed)}, {"SpaceReclaimed", reclaimed}};
}

json::Value VolumeUses::disk_usage() {
  json::Array out;
  for (const auto& volume : s_.volumes.list(s_.ids.scope())) {
    json::Value one = view(volume);
    const std::int64_t size = s_.volumes.mount_of(volume) ? -1 : static_cast<std::int64_t>(s_.volumes.size(volume));
    one.as_object()["UsageData"] = json::Object{{"RefCount", users_of(volume.name).size()}, {"Size", size}};
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace bryo::engine

// The engine about itself: docker info, version, system df; and changes to containers that need no life cycle: rename,
// update, prune.
#pragma once

#include "engine/execs.hpp"
#include "engine/image_uses.hpp"
#include "engine/resources.hpp"
#include "engine/volume_uses.hpp"

namespace bryo::engine {

inline constexpr std::string_view kApiVersion = "1.47";
inline constexpr std::string_view kMinApiVersion = "1.24";

json::Value version_view();
json::Value info_view(Services& services, const ImageUses& images);
json::Value disk_usage_view(Services& services, ImageUses& images, VolumeUses& volumes,
                            const std::vector<std::string>& types);

void rename_container(Services& services, const ContainerPtr& container, std::string_view name);
std::vector<std::string> update_container(Services& services, const ContainerPtr& container,
                                          const UpdateRequest& request);
json::Value prune_containers(Services& services, Lifecycle& lifecycle, const Filters& filters);

}  // namespace bryo::engine

// Older API versions want other shapes: the engine speaks v1.47, and these change its answers and a client's requests.
// Pure. Spec: version history of the Engine API.
#pragma once

#include "api/version.hpp"
#include "base/json.hpp"
#include "engine/types/container_views.hpp"
#include "engine/types/requests.hpp"

namespace bryo::api {

void adapt_info(json::Value& info, ApiVersion version);
void adapt_disk_usage(json::Value& usage, ApiVersion version);
void adapt_image_list(json::Value& images, ApiVersion version);
void adapt_image_inspect(json::Value& image, ApiVersion version);
void adapt_inspect(engine::ContainerInspect& container, ApiVersion version);
// Takes away what the client's version did not have, so that a field sent by mistake changes nothing; throws
// Error{invalid_argument} for combinations that newer versions refuse.
void adapt_create(engine::CreateRequest& request, ApiVersion version);
json::Value wait_body(const engine::WaitResult& result, ApiVersion version);

}  // namespace bryo::api

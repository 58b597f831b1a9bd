// Docker's Engine API as routes over the engine's use cases: which call does which path mean, and which shape does a
// client of this version expect? One function for each resource; add_routes() takes them all.
// Spec: Docker Engine API v1.24 to v1.47.
#pragma once

#include "api/router.hpp"

namespace bryo::engine {
class Engine;
}

namespace bryo::api {

// The engine must outlive the router.
void add_routes(Router& router, engine::Engine& engine);

void add_system_routes(Router& router, engine::Engine& engine);
void add_container_routes(Router& router, engine::Engine& engine);
void add_container_create_route(Router& router, engine::Engine& engine);
void add_container_state_routes(Router& router, engine::Engine& engine);
void add_container_stream_routes(Router& router, engine::Engine& engine);
void add_archive_routes(Router& router, engine::Engine& engine);
void add_exec_routes(Router& router, engine::Engine& engine);
void add_image_routes(Router& router, engine::Engine& engine);
void add_image_transfer_routes(Router& router, engine::Engine& engine);
void add_network_routes(Router& router, engine::Engine& engine);
void add_volume_routes(Router& router, engine::Engine& engine);
// What Bryo does not have: swarm, plugins, builds. Each answers so that clients say why.
void add_refusing_routes(Router& router);

}  // namespace bryo::api

#include "api/routes.hpp"

namespace bryo::api {

void add_routes(Router& router, engine::Engine& engine) {
  add_system_routes(router, engine);
  add_container_routes(router, engine);
  add_container_create_route(router, engine);
  add_container_state_routes(router, engine);
  add_container_stream_routes(router, engine);
  add_archive_routes(router, engine);
  add_exec_routes(router, engine);
  add_image_routes(router, engine);
  add_image_transfer_routes(router, engine);
  add_network_routes(router, engine);
  add_volume_routes(router, engine);
  add_refusing_routes(router);
}

}  // namespace bryo::api

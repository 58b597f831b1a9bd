// Logs, attach, stats and top: what comes out of a running (or ended) container.
#pragma once

#include "engine/services.hpp"
#include "engine/types/requests.hpp"
#include "engine/types/streams.hpp"

namespace bryo::engine {

Stream open_logs(Services& services, const ContainerPtr& container, const LogsRequest& request);
Stream attach(Services& services, const ContainerPtr& container, const AttachRequest& request);
void resize(const ContainerPtr& container, unsigned rows, unsigned columns);

// One JSON object a second until the reader goes or the container is removed; a single one unless `stream`.
UniqueFd open_stats(Services& services, const ContainerPtr& container, bool stream, bool one_shot);
// Runs the host's ps and keeps the lines of the container's processes.
TopResult top(Services& services, const ContainerPtr& container, std::string_view ps_arguments);

}  // namespace bryo::engine

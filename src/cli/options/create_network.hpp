// --network and the options that describe the container's end of it.
#pragma once

#include "cli/options/option.hpp"

namespace bryo::cli {

// HostConfig.NetworkMode, NetworkingConfig.EndpointsConfig, MacAddress.
void add_network(const Arguments& arguments, int api_minor, json::Object& body, json::Object& host);

}  // namespace bryo::cli

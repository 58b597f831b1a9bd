// What a container asks of a network: from EndpointSettings of create and connect to network::EndpointRequest.
#pragma once

#include "engine/record.hpp"
#include "network/endpoint.hpp"

namespace bryo::engine {

// Settings of the interface, in EndpointSettings.DriverOpts: "net.ipv4.conf.IFNAME.log_martians=1,…".
inline constexpr std::string_view kEndpointSysctls = "com.docker.network.endpoint.sysctls";

// Throws Error{invalid_argument} for a MAC address or settings that no interface can have.
void check_endpoint(const EndpointSettings& settings);

// `name`: as the record has it. The container-wide MAC address is that of the network in NetworkMode.
network::EndpointRequest endpoint_request(const Record& record, std::string_view name,
                                          const EndpointSettings& settings);

}  // namespace bryo::engine

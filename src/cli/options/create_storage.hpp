// --volume and --device, which become several fields each.
#pragma once

#include "cli/options/option.hpp"

namespace bryo::cli {

// HostConfig.Binds for what has a source, Volumes for anonymous ones.
void add_storage(const Arguments& arguments, json::Object& body, json::Object& host);
// HostConfig.Devices, or DeviceRequests for CDI names (vendor.com/class=name).
void add_devices(const Arguments& arguments, json::Object& host);

}  // namespace bryo::cli

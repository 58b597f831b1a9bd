// The programs behind a user-mode network: how each is started, how it says that it is ready, what it cannot do.
#pragma once

#include "kernel/netns.hpp"
#include "kernel/start_program.hpp"
#include "rootless/user_network.hpp"
#include "rootless/usernet/addresses.hpp"

namespace bryo::rootless {

// What start() hands to a driver, and gets back.
struct DriverStart {
  const UserNetworkOptions& options;
  const UserNetworkAddresses& addresses;
  int netns = -1;
  kernel::NetnsThread& outside;
};

// Each returns when its process takes frames; the interface is there, and up, with addresses and routes.
// Error{not_found}: not installed. Error{unsupported}: too old, or asked for what it cannot do.
kernel::StartedProgram start_builtin(const DriverStart& start);
kernel::StartedProgram start_slirp4netns(const DriverStart& start);
kernel::StartedProgram start_pasta(const DriverStart& start);
[[noreturn]] void refuse_vpnkit();

// The addresses that the driver will use for these options.
UserNetworkAddresses addresses_for(const UserNetworkOptions& options);

// The command lines (after the program's name). Pure.
std::vector<std::string> slirp4netns_arguments(const UserNetworkOptions& options, int ready, const std::string& netns);
std::vector<std::string> pasta_arguments(const UserNetworkOptions& options, const UserNetworkAddresses& addresses,
                                         const std::string& netns, const std::string& pid_file);

}  // namespace bryo::rootless

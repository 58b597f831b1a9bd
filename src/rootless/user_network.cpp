#include "rootless/user_network.hpp"

#include <linux/netlink.h>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "kernel/netlink_links.hpp"
#include "kernel/process.hpp"
#include "rootless/network_drivers.hpp"
#include "rootless/network_record.hpp"
#include "rootless/usernet/config.hpp"

namespace bryo::rootless {
namespace {

void check(const UserNetworkOptions& options) {
  if (options.mtu < usernet::kSmallestMtu || options.mtu > usernet::kLargestMtu)
    fail(ErrorKind::invalid_argument, "the MTU of the user-mode network must be between {} and {}, not {}",
         usernet::kSmallestMtu, usernet::kLargestMtu, options.mtu);
}

UserNetworkFacts facts_of(const UserNetworkOptions& options, const UserNetworkAddresses& addresses) {
  UserNetworkFacts out;
  out.driver = options.driver;
  out.interface = options.interface;
  out.mtu = options.mtu;
  out.address = addresses.guest.str();
  out.gateway = addresses.host.str();
  out.dns = addresses.dns.str();
  out.host_address = addresses.host.str();
  if (!options.ipv6) return out;
  out.address6 = addresses.guest6.str();
  out.gateway6 = addresses.host6.str();
  out.dns6 = addresses.dns6.str();
  out.host_address6 = addresses.host6.str();
  return out;
}

// pasta does without IPv6 when the host has none.
void leave_out_missing_ipv6(UserNetworkFacts& facts, int netns) {
  bool found = false;
  kernel::run_in_netns(netns, [&] {
    kernel::NetlinkSocket socket(NETLINK_ROUTE);
    for (const kernel::LinkAddress& there : kernel::list_addresses(socket))
      found = found || there.address.address().str() == facts.address6;
  });
  if (!found) facts.address6 = facts.gateway6 = facts.dns6 = facts.host_address6 = "";
}

kernel::StartedProgram start_driver(const DriverStart& start) {
  switch (start.options.driver) {
    case NetworkDriver::builtin:
      return start_builtin(start);
    case NetworkDriver::pasta:
      return start_pasta(start);
    case NetworkDriver::slirp4netns:
      return start_slirp4netns(start);
    case NetworkDriver::vpnkit:
      refuse_vpnkit();
  }
  fail(ErrorKind::internal, "no such network driver");
}

}  // namespace

NetworkDriver parse_network_driver(const std::string& text) {
  if (text == "slirp" || text == "builtin") return NetworkDriver::builtin;
  if (text == "pasta") return NetworkDriver::pasta;
  if (text == "slirp4netns") return NetworkDriver::slirp4netns;
  if (text == "vpnkit") return NetworkDriver::vpnkit;
  fail(ErrorKind::invalid_argument, "unknown network driver \"{}\": builtin (or slirp), pasta, slirp4netns, vpnkit",
       printable(text));
}

std::string_view to_string(NetworkDriver driver) {
  switch (driver) {
    case NetworkDriver::builtin:
      return "builtin";
    case NetworkDriver::pasta:
      return "pasta";
    case NetworkDriver::slirp4netns:
      return "slirp4netns";
    case NetworkDriver::vpnkit:
      return "vpnkit";
  }
  return "";
}

UserNetwork UserNetwork::start(const UserNetworkOptions& options, int netns_fd, kernel::NetnsThread& outside) {
  check(options);
  const UserNetworkAddresses addresses = addresses_for(options);
  UserNetwork made;
  made.state_directory_ = options.state_directory;
  made.facts_ = facts_of(options, addresses);
  kernel::StartedProgram program = start_driver({options, addresses, netns_fd, outside});
  made.process_ = std::move(program.process);
  try {
    leave_out_missing_ipv6(made.facts_, netns_fd);
    NetworkRecord::of(made.facts_, program.pid).write(options.state_directory);
  } catch (...) {
    end_process(made.process_.get());
    throw;
  }
  return made;
}

std::optional<UserNetwork> UserNetwork::adopt(const std::string& state_directory) {
  const auto record = NetworkRecord::read(state_directory);
  if (!record) return std::nullopt;
  UserNetwork found;
  found.process_ = record->open();
  if (!found.process_) return std::nullopt;
  found.facts_ = record->facts;
  found.state_directory_ = state_directory;
  return found;
}

UserNetwork::~UserNetwork() {
  if (process_) kernel::reap(process_.get());
}

void UserNetwork::stop() {
  if (!process_) return;
  end_process(process_.get());
  process_.reset();
  NetworkRecord::remove(state_directory_);
}

}  // namespace bryo::rootless

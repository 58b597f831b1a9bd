#include "engine/bypass.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "kernel/netns.hpp"

namespace bryo::engine {
namespace {

constexpr std::array<std::string_view, 3> kHeld{"connect", "epoll_create", "epoll_create1"};
constexpr std::string_view kAllow = "SCMP_ACT_ALLOW";
// A name only: the monitor hands the listener to the helper.
constexpr const char* kListener = "/bypass";

bool names(const oci::LinuxSyscall& entry, std::string_view call) {
  return std::find(entry.names.begin(), entry.names.end(), call) != entry.names.end();
}

// The rules in their order: the first without a condition counts, then conditions, then the default.
bool is_allowed(const oci::LinuxSeccomp& profile, std::string_view call) {
  bool conditional = false;
  for (const auto& entry : profile.syscalls) {
    if (!names(entry, call)) continue;
    if (entry.args.empty()) return entry.action == kAllow;
    conditional = true;
  }
  return !conditional && profile.default_action == kAllow;
}

bool is_asked_for(const Services& services, const std::vector<network::Endpoint>& endpoints) {
  return std::any_of(endpoints.begin(), endpoints.end(), [&](const network::Endpoint& endpoint) {
    return services.networks.find(endpoint.network_id).driver == network::kBypass;
  });
}

}  // namespace

void hold_connects(oci::LinuxSeccomp& profile) {
  oci::LinuxSyscall held{{}, "SCMP_ACT_NOTIFY", {}, {}};
  for (const std::string_view call : kHeld)
    if (is_allowed(profile, call)) held.names.emplace_back(call);
  if (!names(held, kHeld[0])) return;
  for (auto& entry : profile.syscalls)
    std::erase_if(entry.names, [&](const std::string& name) { return names(held, name); });
  std::erase_if(profile.syscalls, [](const oci::LinuxSyscall& entry) { return entry.names.empty(); });
  profile.syscalls.push_back(std::move(held));
  profile.listener_path = kListener;
  if (profile.flags.empty()) profile.flags.emplace_back("SECCOMP_FILTER_FLAG_SPEC_ALLOW");
  // A signal that comes in the moment of the exchange waits for its end: it takes no time.
  profile.flags.emplace_back("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV");
}

void allow_everything(oci::LinuxSeccomp& profile) {
  profile.default_action = kAllow;
  profile.default_errno_ret.reset();
  profile.syscalls.clear();
}

bool wants_bypass(const Services& services, const std::vector<network::Endpoint>& endpoints) {
  const bool wanted = services.options.bypass || is_asked_for(services, endpoints);
  return wanted && services.networks.exists(network::kBypass) &&
         services.networks.find(network::kBypass).driver == network::kBypass &&
         services.networks.gateway_endpoint(endpoints) != network::NetworkManager::npos;
}

void start_bypass(const Services& services, monitor::MonitorHub& hub, const Record& record, bypass::Link& link,
                  int netns) {
  bypass::Networks networks;
  networks.with_udp = services.options.bypass_udp;
  networks.engine = bypass::RouteSockets::open_here();
  {
    const kernel::NetnsVisit visit(netns);
    networks.container = bypass::RouteSockets::open_here();
  }
  services.on_host_network([&] { hub.start_bypass(record.id, std::move(link.helper)); });
  bypass::send_networks(link.ours.get(), networks);
}

}  // namespace bryo::engine

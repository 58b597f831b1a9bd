#include "rootless/command/ports.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "kernel/host.hpp"
#include "kernel/sockets.hpp"

namespace bryo::rootless::command {
namespace {

using kernel::IpAddress;

constexpr std::uint16_t kFirstFreePort = 1024;

UniqueFd listen(const PortSpec& spec, const IpAddress& address) {
  try {
    return spec.tcp() ? kernel::listen_tcp(address, spec.parent_port) : kernel::bind_udp(address, spec.parent_port);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::permission || spec.parent_port >= kFirstFreePort)
      throw error.within("publish port " + spec.str());
    fail(ErrorKind::permission,
         "publish port {}: {}. An administrator lets ordinary users have ports from {} on with: sysctl -w "
         "net.ipv4.ip_unprivileged_port_start={}",
         spec.str(), error.message(), spec.parent_port, spec.parent_port);
  }
}

std::vector<IpAddress> wanted_addresses(const PortSpec& spec) {
  auto out = spec.listen_addresses();
  // Asked for "all": on a host without IPv6 these are fewer.
  if (out.size() > 1 && !kernel::has_ipv6()) out.pop_back();
  return out;
}

}  // namespace

void Ports::check_conflicts(const PortSpec& spec) const {
  for (const auto& [id, entry] : ports_)
    if (entry.spec.conflicts_with(spec)) fail(ErrorKind::conflict, "port {} conflicts with ID {}", spec.str(), id);
}

Ports::Port Ports::add(const PortSpec& spec) {
  spec.check();
  if (helper_ == nullptr)
    fail(ErrorKind::unsupported, "publish port {}: no port driver; start bryo-rootless with --port-driver=builtin",
         spec.str());
  check_conflicts(spec);
  const int id = next_;
  Entry entry{spec, {}};
  for (const IpAddress& address : wanted_addresses(spec)) {
    entry.sockets.push_back({listen(spec, address), {id, spec.tcp(), spec.target(), spec.child_port}});
  }
  try {
    for (const Socket& socket : entry.sockets) helper_->add(socket.forward, socket.listener.get());
  } catch (const Error& error) {
    helper_->remove(id);
    throw error.within("publish port " + spec.str());
  }
  ports_.emplace(id, std::move(entry));
  ++next_;
  return {id, spec};
}

void Ports::remove(int id) {
  const auto found = ports_.find(id);
  if (found == ports_.end()) fail(ErrorKind::not_found, "unknown id: {}", id);
  helper_->remove(id);
  ports_.erase(found);
}

std::vector<Ports::Port> Ports::list() const {
  std::vector<Port> out;
  for (const auto& [id, entry] : ports_) out.push_back({id, entry.spec});
  return out;
}

void Ports::move_to(const Helper& helper) {
  helper_ = &helper;
  for (const auto& [id, entry] : ports_)
    for (const Socket& socket : entry.sockets) helper_->add(socket.forward, socket.listener.get());
}

}  // namespace bryo::rootless::command

#include "network/forwarding.hpp"

#include <fcntl.h>

#include <array>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/netns.hpp"

namespace bryo::network {
namespace {

struct Memory {
  std::string boot;
  bool ipv4 = false;
  bool ipv6 = false;
};

// Changes with every start of the host, which also resets the settings.
std::string boot_id() {
  try {
    const UniqueFd fd = kernel::open_trusted("/proc/sys/kernel/random/boot_id", O_RDONLY);
    std::array<char, 64> text{};
    const ssize_t size = ::read(fd.get(), text.data(), text.size());
    return std::string(trim(std::string_view(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0)));
  } catch (const Error&) {
    return {};
  }
}

constexpr const char* kIpv4 = "ipv4/ip_forward";
constexpr const char* kIpv6 = "ipv6/conf/all/forwarding";

}  // namespace
}  // namespace bryo::network

template <>
struct bryo::json::Fields<bryo::network::Memory> {
  using T = bryo::network::Memory;
  static constexpr auto list =
      std::tuple{field("Boot", &T::boot), field("ForwardingIPv4", &T::ipv4), field("ForwardingIPv6", &T::ipv6)};
};

namespace bryo::network {

void Forwarding::load() {
  for (const auto& [key, document] : store_.list()) {
    if (key != kStoreKey) continue;
    const auto memory = json::decode<Memory>(document);
    if (memory.boot != boot_id()) continue;
    ipv4_ = memory.ipv4;
    ipv6_ = memory.ipv6;
  }
}

void Forwarding::save() {
  if (ours())
    store_.put(kStoreKey, json::encode(Memory{boot_id(), ipv4_, ipv6_}));
  else
    store_.erase(kStoreKey);
}

void Forwarding::switch_on(const std::string& name, bool& changed, std::vector<std::string>& remarks) {
  try {
    const std::string now = kernel::get_net_sysctl(name);
    if (now.empty() || now != "0") return;
    // Remembered first: a kill between the two must not leave the host open unnoticed.
    changed = true;
    save();
    kernel::set_net_sysctl(name, "1");
    remarks.push_back(
        fmt::format("net/{} was off and has been switched on for containers; other traffic between "
                    "interfaces of this host stays closed",
                    name));
  } catch (const Error& error) {
    remarks.push_back(fmt::format("containers cannot reach other hosts: {}; set it by hand: sysctl -w net/{}=1",
                                  error.message(), name));
  }
}

std::vector<std::string> Forwarding::need(bool ipv6) {
  std::vector<std::string> remarks;
  switch_on(kIpv4, ipv4_, remarks);
  if (ipv6) switch_on(kIpv6, ipv6_, remarks);
  return remarks;
}

void Forwarding::restore() {
  if (!ours()) return;
  if (ipv4_) kernel::set_net_sysctl(kIpv4, "0");
  if (ipv6_) kernel::set_net_sysctl(kIpv6, "0");
  log::info("switched forwarding off again, as it was before containers needed it");
  ipv4_ = ipv6_ = false;
  save();
}

}  // namespace bryo::network

#include "engine/endpoint_request.hpp"

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/sockets_address.hpp"

namespace bryo::engine {
namespace {

constexpr std::string_view kInterface = "IFNAME";

// "net.ipv4.conf.IFNAME.log_martians=1": a path below /proc/sys/net, in which the interface has the fourth place.
network::InterfaceSetting parse_setting(std::string_view text) {
  const auto refuse = [&] {
    fail(ErrorKind::invalid_argument,
         "invalid endpoint sysctl '{}': it must look like net.ipv4.conf.IFNAME.log_martians=1, with IFNAME for the "
         "interface",
         printable(text));
  };
  const auto parts = split_once(text, '=');
  if (!parts || text.find('/') != std::string_view::npos) refuse();
  const auto words = split(parts->first, '.');
  if (words.size() != 5 || words[0] != "net" || words[3] != kInterface) refuse();
  for (const std::string_view word : words)
    if (word.empty()) refuse();
  return {fmt::format("{}/{}", words[1], words[2]), std::string(words[4]), std::string(trim(parts->second))};
}

std::vector<network::InterfaceSetting> settings_of(const EndpointSettings& settings) {
  std::vector<network::InterfaceSetting> out;
  if (!settings.driver_opts) return out;
  const auto found = settings.driver_opts->find(std::string(kEndpointSysctls));
  if (found == settings.driver_opts->end()) return out;
  for (const std::string_view one : split(found->second, ','))
    if (!trim(one).empty()) out.push_back(parse_setting(trim(one)));
  return out;
}

bool is_main(const Record& record, std::string_view name) {
  const auto plain = [](std::string_view mode) { return mode == "default" ? std::string_view("bridge") : mode; };
  return plain(name) == plain(record.host_config.network_mode);
}

}  // namespace

void check_endpoint(const EndpointSettings& settings) {
  settings_of(settings);
  if (!settings.mac_address.empty() && !kernel::try_parse_mac(settings.mac_address))
    fail(ErrorKind::invalid_argument, "invalid MAC address: {}", printable(settings.mac_address, 40));
}

network::EndpointRequest endpoint_request(const Record& record, std::string_view name,
                                          const EndpointSettings& settings) {
  network::EndpointRequest request;
  request.container_id = record.id;
  request.container_name = record.name;
  request.hostname = record.config.hostname;
  request.aliases = settings.aliases.value_or(std::vector<std::string>{});
  request.links = settings.links.value_or(std::vector<std::string>{});
  if (settings.ipam_config) {
    request.ipv4 = settings.ipam_config->ipv4_address;
    request.ipv6 = settings.ipam_config->ipv6_address;
  }
  request.mac = settings.mac_address;
  if (request.mac.empty() && is_main(record, name)) request.mac = record.config.mac_address;
  request.settings = settings_of(settings);
  return request;
}

}  // namespace bryo::engine

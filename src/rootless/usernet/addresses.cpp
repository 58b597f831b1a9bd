#include "rootless/usernet/addresses.hpp"

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::rootless {

UserNetworkAddresses user_network_addresses(const std::string& cidr, const std::string& cidr6) {
  constexpr unsigned kHost = 2;
  constexpr unsigned kDns = 3;
  constexpr unsigned kGuest = 100;
  constexpr unsigned kGuest6 = 0x100;
  const auto network = kernel::IpPrefix::try_parse(cidr);
  if (!network || network->family() != kernel::Family::v4 || network->length() < 8 || network->length() > 25)
    fail(ErrorKind::invalid_argument,
         "invalid network \"{}\" for the user-mode network: an IPv4 network with a prefix of 8 to 25 bits, such as "
         "10.0.2.0/24",
         printable(cidr));
  const auto network6 = kernel::IpPrefix::try_parse(cidr6);
  if (!network6 || network6->family() != kernel::Family::v6 || network6->length() != 64)
    fail(ErrorKind::invalid_argument, "invalid IPv6 network \"{}\" for the user-mode network", printable(cidr6));
  UserNetworkAddresses out;
  out.network = network->canonical();
  out.host = network->first().plus(kHost);
  out.dns = network->first().plus(kDns);
  out.guest = network->first().plus(kGuest);
  out.network6 = network6->canonical();
  out.host6 = network6->first().plus(kHost);
  out.dns6 = network6->first().plus(kDns);
  out.guest6 = network6->first().plus(kGuest6);
  return out;
}

}  // namespace bryo::rootless

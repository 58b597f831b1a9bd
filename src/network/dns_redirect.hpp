// Port 53 of 127.0.0.11 without occupying it: rules that rewrite ports on the loopback interface.
#pragma once

#include <cstdint>

namespace bryo::network {

// In the calling thread's network namespace; replaces rules of an earlier life. Throws Error when the kernel refuses.
void redirect_dns(std::uint16_t udp_port, std::uint16_t tcp_port);

}  // namespace bryo::network

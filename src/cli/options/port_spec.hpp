// --publish and --expose.
#pragma once

#include <string>
#include <vector>

namespace bryo::cli {

struct PortMapping {
  std::string container;  // "80/tcp"
  std::string host_ip;    // "" for every address
  std::string host_port;  // "8080", a range "8000-8002", or "" for any
};

// [[IP:]HOST:]CONTAINER[/PROTO] with ranges, [v6] addresses, or published=…,target=…,protocol=….
// Throws Error{invalid_argument} in Docker's words.
std::vector<PortMapping> parse_publish(const std::string& text);
// "80", "80/udp", "80-90/tcp" → "80/tcp" …
std::vector<std::string> parse_expose(const std::string& text);

}  // namespace bryo::cli

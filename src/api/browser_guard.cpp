#include "api/browser_guard.hpp"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::api {
namespace {

// "[::1]:2375" → "::1", "build-1:2375" → "build-1".
std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    return end == std::string_view::npos ? host : host.substr(1, end - 1);
  }
  const std::size_t colon = host.rfind(':');
  return colon == std::string_view::npos || host.find(':') != colon ? host : host.substr(0, colon);
}

bool is_address(std::string_view host) {
  const std::string text(host);
  in6_addr address;
  return inet_pton(AF_INET, text.c_str(), &address) == 1 || inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

bool is_this_machine(std::string_view host) {
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) != 0) return false;
  const std::string_view own = name;
  return iequals(host, own) || iequals(host, own.substr(0, own.find('.')));
}

bool is_known(std::string_view host, const std::vector<std::string>& allowed) {
  if (host.empty() || iequals(host, "localhost") || is_address(host) || is_this_machine(host)) return true;
  return std::any_of(allowed.begin(), allowed.end(), [&](const std::string& name) { return iequals(name, host); });
}

}  // namespace

void refuse_browsers(const Request& request, const std::vector<std::string>& allowed_hosts) {
  if (request.peer.local) return;
  if (const std::string* origin = request.headers.find("Origin"))
    fail(ErrorKind::permission, "request refused: it comes from a web page (Origin {})", printable(*origin));
  if (request.peer.tls) return;
  const std::string_view host = without_port(request.headers.get("Host"));
  if (!is_known(host, allowed_hosts))
    fail(ErrorKind::permission,
         "request refused: Host \"{}\" is not a name of this machine; if clients use it, start bryod with "
         "--allowed-host {}, or use --tlsverify",
         printable(host), printable(host));
}

}  // namespace bryo::api

// Is this request a web page's doing? Browsers send requests to localhost on behalf of any page, and DNS rebinding lets
// a page read the answers (security.md, row 122). Only asked for TCP: a browser cannot open our unix socket.
#pragma once

#include <string>
#include <vector>

#include "api/http.hpp"

namespace bryo::api {

// Throws Error{permission}. `allowed_hosts`: names for the Host header besides addresses, localhost and this machine's.
// With client certificates a foreign Host proves nothing, so only Origin is looked at.
void refuse_browsers(const Request& request, const std::vector<std::string>& allowed_hosts);

}  // namespace bryo::api

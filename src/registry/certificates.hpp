// Certificates that belong to one registry: <dir>/<host[:port]>/ with *.crt (authorities trusted besides the system's)
// and *.cert with *.key (ours), in the first of the directories that has such a folder.
#pragma once

#include <string>
#include <vector>

#include "registry/url.hpp"

namespace bryo::registry {

struct Certificates {
  std::vector<std::string> authorities;  // paths of PEM files
  std::string client_certificate;
  std::string client_key;
};

// Error{invalid_argument} for a .cert without its .key and the other way round, with Docker's texts.
Certificates find_certificates(const std::vector<std::string>& directories, const Origin& origin);

}  // namespace bryo::registry

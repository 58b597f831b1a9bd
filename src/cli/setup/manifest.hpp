// What `bryo setup` made, so that it never touches anything else and can take everything back.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bryo::cli {

struct Manifest {
  std::string prefix;
  std::map<std::string, std::string> files;     // path → digest of what we wrote
  std::vector<std::string> directories;         // made by us, in the order of their making
  std::optional<std::string> previous_context;  // of the docker client, when we changed it; "" is the default one
};

// nullopt when there is none; Error{invalid_argument} for one that is broken.
std::optional<Manifest> read_manifest(const std::string& file);
std::string manifest_text(const Manifest& manifest);

}  // namespace bryo::cli

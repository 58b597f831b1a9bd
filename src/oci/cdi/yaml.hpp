// YAML as the JSON that it stands for, by the core schema of YAML 1.2 (and 0777 as octal, as YAML 1.1 had it).
#pragma once

#include <string_view>

#include "base/json.hpp"

namespace bryo::oci::cdi {

// One document. Error{invalid_argument} with line and column; for aliases, anchors and tags too: nothing here needs
// them, and aliases let a small text become a huge value.
json::Value yaml_to_json(std::string_view text);

}  // namespace bryo::oci::cdi

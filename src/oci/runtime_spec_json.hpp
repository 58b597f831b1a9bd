// config.json ↔ oci::RuntimeSpec. Only bryo-oci and tests need it; the engine hands the structs over directly.
#pragma once

#include <string>
#include <string_view>

#include "oci/runtime_spec.hpp"

namespace bryo::oci {

// Throws Error{invalid_argument} naming the field, e.g. "process.user.uid: expected an integer".
RuntimeSpec parse_runtime_spec(std::string_view text);
// One process description, as `runc exec --process` reads it.
Process parse_process(std::string_view text);
LinuxResources parse_resources(std::string_view text);
// Indented as `runc spec` writes it.
std::string format_runtime_spec(const RuntimeSpec& spec);

}  // namespace bryo::oci

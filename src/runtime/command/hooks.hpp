// OCI hooks: programs of the host's, run with a clean environment, cwd "/" and the container's state on standard input
// (design/security.md D6). A failing hook is an Error; poststart and poststop only warn.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "oci/runtime_spec.hpp"

namespace bryo::runtime::command {

void run_hooks(std::span<const oci::Hook> hooks, const std::string& state_json, const char* kind);
// Failures come back as texts.
std::vector<std::string> try_hooks(std::span<const oci::Hook> hooks, const std::string& state_json, const char* kind);
// Those that must run inside the container's namespaces are refused until they are supported.
void check_hooks(const oci::RuntimeSpec& spec);

}  // namespace bryo::runtime::command

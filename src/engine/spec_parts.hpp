// The pieces of spec.cpp; see there.
#pragma once

#include "engine/spec.hpp"

namespace bryo::engine {

std::vector<oci::Mount> spec_mounts(const SpecInputs& inputs);
std::vector<oci::LinuxNamespace> spec_namespaces(const SpecInputs& inputs);
std::vector<oci::LinuxDevice> spec_devices(const SpecInputs& inputs);
std::vector<std::string> spec_environment(const SpecInputs& inputs, const ResolvedUser& user,
                                          const std::vector<std::string>& own, bool tty);

// --security-opt, understood.
struct SecurityOptions {
  bool no_new_privileges = false;
  bool unconfined = false;      // seccomp=unconfined
  std::string seccomp_profile;  // JSON text
  std::string apparmor;         // "" = default, "unconfined"
  bool nested = false;          // an engine runs inside
};
// Error{invalid_argument} "invalid --security-opt …".
SecurityOptions parse_security_options(const HostConfig& host, bool no_new_privileges_default);
// Docker's profile format (archMap, includes, excludes) → the runtime spec's, for these capabilities.
oci::LinuxSeccomp parse_seccomp_profile(std::string_view json, const std::vector<std::string>& capabilities,
                                        std::uint32_t kernel);

}  // namespace bryo::engine

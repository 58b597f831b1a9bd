// linux.seccomp of the OCI spec → a BPF program, short: the kernel runs a filter once for every system call number when
// it is loaded, and pays for its length again (design/performance.md), so numbers become a binary search over intervals
// and argument checks stand behind it. All ABIs of the machine are covered (x86-64, x32, i386; arm64, arm).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "oci/runtime_spec.hpp"
#include "runtime/process_plan.hpp"

namespace bryo::runtime {

// Docker's default profile, written from the documented facts: what a container with these capabilities (bit n =
// capability n) may call. kernel as in HostFacts.
oci::LinuxSeccomp default_seccomp_profile(std::uint64_t capabilities, std::uint32_t kernel);

// Throws Error{invalid_argument} for an empty profile (CVE-2023-2431), unknown actions, operators or architectures.
// Unknown system call names are skipped, as the specification asks, and listed in `warnings`.
SeccompProgram compile_seccomp(const oci::LinuxSeccomp& profile, std::vector<std::string>* warnings = nullptr);

// The same, remembered by content: a second container with the same profile costs a hash. Any thread.
SeccompProgram compile_seccomp_cached(const oci::LinuxSeccomp& profile);

// default_seccomp_profile, compiled; remembered by its two numbers. Any thread.
SeccompProgram default_seccomp_program(std::uint64_t capabilities, std::uint32_t kernel);

}  // namespace bryo::runtime

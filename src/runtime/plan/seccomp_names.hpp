// Numbers of system calls by name and ABI. Internal to the seccomp compiler.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bryo::runtime {

// AUDIT_ARCH_*; x32 shares x86-64's and sets bit 30 in the number.
struct SeccompAbi {
  std::uint32_t audit_arch = 0;
  std::uint32_t library_arch = 0;  // libseccomp's token
  bool x32 = false;
  bool wide = true;  // arguments of 64 bits
  bool operator==(const SeccompAbi&) const = default;
};

inline constexpr std::uint32_t kX32Bit = 0x40000000;

// "SCMP_ARCH_X86_64"; nullopt when this machine cannot run it; Error{invalid_argument} when unknown.
std::optional<SeccompAbi> abi_of(const std::string& name);
SeccompAbi native_abi();
// Numbers as the kernel sees them (with kX32Bit). A name of i386's socket family gives its own number besides
// socketcall's. Empty: no such call on this ABI.
std::vector<std::uint32_t> syscall_numbers(const SeccompAbi& abi, const std::string& name);
// i386's socketcall or ipc with this first argument is the same call as `name`.
struct Multiplexed {
  std::uint32_t number = 0;
  std::uint32_t call = 0;
};
std::optional<Multiplexed> multiplexed(const SeccompAbi& abi, const std::string& name);
bool is_known_syscall(const std::string& name);

}  // namespace bryo::runtime

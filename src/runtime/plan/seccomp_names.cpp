#include "runtime/plan/seccomp_names.hpp"

#include <linux/audit.h>
#include <seccomp.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::runtime {
namespace {

struct Named {
  std::string_view name;
  std::uint32_t number;
};

// Calls that are newer than the library on this host; one number on every ABI since 424.
constexpr Named kRecent[] = {{"process_mrelease", 448},  {"futex_waitv", 449},      {"set_mempolicy_home_node", 450},
                             {"cachestat", 451},         {"fchmodat2", 452},        {"map_shadow_stack", 453},
                             {"futex_wake", 454},        {"futex_wait", 455},       {"futex_requeue", 456},
                             {"statmount", 457},         {"listmount", 458},        {"lsm_get_self_attr", 459},
                             {"lsm_set_self_attr", 460}, {"lsm_list_modules", 461}, {"mseal", 462},
                             {"setxattrat", 463},        {"getxattrat", 464},       {"listxattrat", 465},
                             {"removexattrat", 466},     {"open_tree_attr", 467},   {"file_getattr", 468},
                             {"file_setattr", 469}};

// i386: direct calls since Linux 4.3 (sockets) and 5.1 (System V IPC); before, and in old programs still, one call
// with the operation as its first argument (net.h, ipc.h). 0 = no direct call.
struct I386Call {
  std::string_view name;
  std::uint32_t direct;
  std::uint32_t multiplexer;
  std::uint32_t call;
};
constexpr std::uint32_t kSocketcall = 102;
constexpr std::uint32_t kIpc = 117;
constexpr I386Call kI386[] = {{"socket", 359, kSocketcall, 1},
                              {"bind", 361, kSocketcall, 2},
                              {"connect", 362, kSocketcall, 3},
                              {"listen", 363, kSocketcall, 4},
                              {"accept", 0, kSocketcall, 5},
                              {"getsockname", 367, kSocketcall, 6},
                              {"getpeername", 368, kSocketcall, 7},
                              {"socketpair", 360, kSocketcall, 8},
                              {"send", 0, kSocketcall, 9},
                              {"recv", 0, kSocketcall, 10},
                              {"sendto", 369, kSocketcall, 11},
                              {"recvfrom", 371, kSocketcall, 12},
                              {"shutdown", 373, kSocketcall, 13},
                              {"setsockopt", 366, kSocketcall, 14},
                              {"getsockopt", 365, kSocketcall, 15},
                              {"sendmsg", 370, kSocketcall, 16},
                              {"recvmsg", 372, kSocketcall, 17},
                              {"accept4", 364, kSocketcall, 18},
                              {"recvmmsg", 337, kSocketcall, 19},
                              {"sendmmsg", 345, kSocketcall, 20},
                              {"semop", 0, kIpc, 1},
                              {"semget", 393, kIpc, 2},
                              {"semctl", 394, kIpc, 3},
                              {"semtimedop", 0, kIpc, 4},
                              {"msgsnd", 400, kIpc, 11},
                              {"msgrcv", 401, kIpc, 12},
                              {"msgget", 399, kIpc, 13},
                              {"msgctl", 402, kIpc, 14},
                              {"shmat", 397, kIpc, 21},
                              {"shmdt", 398, kIpc, 22},
                              {"shmget", 395, kIpc, 23},
                              {"shmctl", 396, kIpc, 24}};

const I386Call* i386_call(const SeccompAbi& abi, const std::string& name) {
  if (abi.audit_arch != AUDIT_ARCH_I386) return nullptr;
  const auto* const found = std::ranges::find(kI386, name, &I386Call::name);
  return found == std::end(kI386) ? nullptr : found;
}

struct NamedAbi {
  std::string_view name;
  SeccompAbi abi;
  bool runs_here;
};

#if defined(__x86_64__)
constexpr bool kX86 = true;
#else
constexpr bool kX86 = false;
#endif
#if defined(__aarch64__)
constexpr bool kArm = true;
#else
constexpr bool kArm = false;
#endif

constexpr NamedAbi kAbis[] = {
    {"SCMP_ARCH_X86_64", {AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64, false, true}, kX86},
    {"SCMP_ARCH_X86", {AUDIT_ARCH_I386, SCMP_ARCH_X86, false, false}, kX86},
    {"SCMP_ARCH_X32", {AUDIT_ARCH_X86_64, SCMP_ARCH_X32, true, true}, kX86},
    {"SCMP_ARCH_AARCH64", {AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64, false, true}, kArm},
    {"SCMP_ARCH_ARM", {AUDIT_ARCH_ARM, SCMP_ARCH_ARM, false, false}, kArm},
};
constexpr std::string_view kForeign[] = {
    "SCMP_ARCH_MIPS",        "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",    "SCMP_ARCH_PPC64",     "SCMP_ARCH_PPC64LE", "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",       "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64",  "SCMP_ARCH_RISCV64", "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",        "SCMP_ARCH_SH",     "SCMP_ARCH_SHEB"};

}  // namespace

std::optional<SeccompAbi> abi_of(const std::string& name) {
  if (name == "SCMP_ARCH_NATIVE") return native_abi();
  for (const NamedAbi& known : kAbis)
    if (known.name == name) return known.runs_here ? std::optional(known.abi) : std::nullopt;
  if (std::ranges::find(kForeign, name) != std::end(kForeign)) return std::nullopt;
  fail(ErrorKind::invalid_argument, "linux.seccomp.architectures: unknown architecture \"{}\"", printable(name));
}

SeccompAbi native_abi() {
  for (const NamedAbi& known : kAbis)
    if (known.runs_here) return known.abi;
  fail(ErrorKind::unsupported, "seccomp: this machine's architecture is not supported");
}

std::vector<std::uint32_t> syscall_numbers(const SeccompAbi& abi, const std::string& name) {
  if (const I386Call* call = i386_call(abi, name))
    return call->direct == 0 ? std::vector<std::uint32_t>() : std::vector<std::uint32_t>{call->direct};
  const std::uint32_t bit = abi.x32 ? kX32Bit : 0;
  if (const auto* recent = std::ranges::find(kRecent, name, &Named::name); recent != std::end(kRecent))
    return {recent->number | bit};
  // Negative: the library's own numbers for calls that this ABI has not.
  const int number = seccomp_syscall_resolve_name_arch(abi.library_arch, name.c_str());
  if (number < 0) return {};
  return {static_cast<std::uint32_t>(number) | bit};
}

std::optional<Multiplexed> multiplexed(const SeccompAbi& abi, const std::string& name) {
  const I386Call* call = i386_call(abi, name);
  if (call == nullptr) return std::nullopt;
  return Multiplexed{call->multiplexer, call->call};
}

bool is_known_syscall(const std::string& name) {
  if (std::ranges::find(kRecent, name, &Named::name) != std::end(kRecent)) return true;
  return seccomp_syscall_resolve_name(name.c_str()) != __NR_SCMP_ERROR;
}

}  // namespace bryo::runtime

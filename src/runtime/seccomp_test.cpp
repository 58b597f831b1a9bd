// The seccomp compiler against libseccomp's own (in an interpreter of classic BPF), and against the kernel.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <set>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "runtime/default_spec.hpp"
#include "runtime/seccomp_profile.hpp"

namespace bryo::runtime {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

using Program = std::vector<struct sock_filter>;

Program program_of(const SeccompProgram& compiled) {
  Program program(compiled.filter.size() / sizeof(struct sock_filter));
  std::memcpy(program.data(), compiled.filter.data(), compiled.filter.size());
  return program;
}

// What the kernel's checker lets through, executed.
std::uint32_t run(const Program& program, const struct seccomp_data& data) {
  std::uint32_t a = 0;
  for (std::size_t pc = 0; pc < program.size(); ++pc) {
    const struct sock_filter& i = program[pc];
    switch (i.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + i.k, sizeof a);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= i.k;
        break;
      case BPF_RET | BPF_K:
        return i.k;
      case BPF_JMP | BPF_JA:
        pc += i.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        pc += a == i.k ? i.jt : i.jf;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        pc += a > i.k ? i.jt : i.jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        pc += a >= i.k ? i.jt : i.jf;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        pc += (a & i.k) != 0 ? i.jt : i.jf;
        break;
      default:
        ADD_FAILURE() << "instruction " << i.code;
        return 0;
    }
  }
  ADD_FAILURE() << "fell off the end";
  return 0;
}

struct seccomp_data call(std::uint32_t arch, std::uint32_t number, std::array<std::uint64_t, 6> args = {}) {
  struct seccomp_data data = {};
  data.arch = arch;
  data.nr = static_cast<int>(number);
  for (std::size_t i = 0; i < args.size(); ++i) data.args[i] = args[i];
  return data;
}

std::uint32_t allow() { return SECCOMP_RET_ALLOW; }
std::uint32_t error(std::uint32_t number) { return SECCOMP_RET_ERRNO | number; }

oci::LinuxSeccomp profile_with(std::vector<oci::LinuxSyscall> calls, const std::string& otherwise = "SCMP_ACT_ERRNO") {
  oci::LinuxSeccomp profile;
  profile.default_action = otherwise;
  profile.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  profile.syscalls = std::move(calls);
  return profile;
}

// --- libseccomp as the reference ---

std::uint32_t library_action(const std::string& action, std::optional<std::uint32_t> number) {
  if (action == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(number.value_or(EPERM));
  if (action == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(number.value_or(EPERM));
  const std::pair<const char*, std::uint32_t> known[] = {
      {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},   {"SCMP_ACT_KILL", SCMP_ACT_KILL},
      {"SCMP_ACT_LOG", SCMP_ACT_LOG},       {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
      {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},     {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
      {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY},
  };
  for (const auto& [text, value] : known)
    if (action == text) return value;
  return UINT32_MAX;
}

bool has_architecture(const oci::LinuxSeccomp& profile, const char* name) {
  return std::ranges::find(profile.architectures, name) != profile.architectures.end();
}

scmp_compare library_operator(const std::string& name) {
  const std::pair<const char*, scmp_compare> known[] = {{"SCMP_CMP_EQ", SCMP_CMP_EQ},
                                                        {"SCMP_CMP_NE", SCMP_CMP_NE},
                                                        {"SCMP_CMP_LT", SCMP_CMP_LT},
                                                        {"SCMP_CMP_LE", SCMP_CMP_LE},
                                                        {"SCMP_CMP_GT", SCMP_CMP_GT},
                                                        {"SCMP_CMP_GE", SCMP_CMP_GE},
                                                        {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
  for (const auto& [text, value] : known)
    if (name == text) return value;
  return _SCMP_CMP_MIN;
}

Program library_program(const oci::LinuxSeccomp& profile) {
  const std::uint32_t otherwise = library_action(profile.default_action, profile.default_errno_ret);
  scmp_filter_ctx context = seccomp_init(otherwise);
  if (has_architecture(profile, "SCMP_ARCH_X86")) seccomp_arch_add(context, SCMP_ARCH_X86);
  if (has_architecture(profile, "SCMP_ARCH_X32")) seccomp_arch_add(context, SCMP_ARCH_X32);
  for (const auto& entry : profile.syscalls) {
    const std::uint32_t action = library_action(entry.action, entry.errno_ret);
    // The library takes no rule that says what the default says.
    if (action == otherwise) continue;
    std::vector<scmp_arg_cmp> args;
    for (const auto& arg : entry.args) {
      const scmp_compare op = library_operator(arg.op);
      args.push_back({arg.index, op, arg.value, op == SCMP_CMP_MASKED_EQ ? arg.value_two : 0});
    }
    for (const std::string& name : entry.names) {
      const int number = seccomp_syscall_resolve_name(name.c_str());
      if (number == __NR_SCMP_ERROR) continue;
      EXPECT_EQ(seccomp_rule_add_array(context, action, number, static_cast<unsigned>(args.size()), args.data()), 0)
          << name;
    }
  }
  const UniqueFd file(::memfd_create("bpf", MFD_CLOEXEC));
  EXPECT_EQ(seccomp_export_bpf(context, file.get()), 0);
  seccomp_release(context);
  Program program(static_cast<std::size_t>(::lseek(file.get(), 0, SEEK_END)) / sizeof(struct sock_filter));
  EXPECT_GT(::pread(file.get(), program.data(), program.size() * sizeof(struct sock_filter), 0), 0);
  return program;
}

// Values near everything that a rule compares with.
class Arguments {
 public:
  explicit Arguments(const oci::LinuxSeccomp& profile) {
    for (const auto& entry : profile.syscalls)
      for (const auto& arg : entry.args)
        for (const std::uint64_t value : {arg.value, arg.value_two})
          for (const std::uint64_t delta : {std::uint64_t{0}, std::uint64_t{1}, UINT64_MAX, std::uint64_t{1} << 32})
            interesting_.push_back(value + delta);
    interesting_.push_back(0);
  }
  std::array<std::uint64_t, 6> next(bool wide) {
    std::array<std::uint64_t, 6> out{};
    for (std::uint64_t& value : out) {
      value = random_() % 4 == 0 ? random_() : interesting_[random_() % interesting_.size()];
      if (!wide) value &= UINT32_MAX;
    }
    return out;
  }

 private:
  std::vector<std::uint64_t> interesting_;
  std::mt19937_64 random_{42};
};

struct Abi {
  std::uint32_t arch;
  std::uint32_t base;
  std::uint32_t count;
  bool wide;
};
constexpr Abi kAbis[] = {{AUDIT_ARCH_X86_64, 0, 424, true},
                         {AUDIT_ARCH_I386, 0, 424, false},
                         {AUDIT_ARCH_X86_64, 0x40000000, 424, false},
                         {AUDIT_ARCH_X86_64, 0x40000000 + 512, 36, false}};

bool is_x32_call(std::uint32_t number) {
  char* name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X32, static_cast<int>(number));
  std::free(name);
  return name != nullptr;
}

// libseccomp looks at the low half only of x32's arguments, though the kernel hands over whole registers: compared are
// values that fit into it.
bool fits_x32(const oci::LinuxSeccomp& profile) {
  for (const auto& entry : profile.syscalls)
    for (const auto& arg : entry.args)
      if (arg.value > UINT32_MAX || arg.value_two > UINT32_MAX) return false;
  return true;
}

void expect_same(const oci::LinuxSeccomp& profile, int samples) {
  const Program ours = program_of(compile_seccomp(profile));
  const Program theirs = library_program(profile);
  Arguments arguments(profile);
  const std::uint32_t otherwise = library_action(profile.default_action, profile.default_errno_ret);
  std::size_t differences = 0;
  for (const Abi& abi : kAbis) {
    if (abi.arch == AUDIT_ARCH_I386 && !has_architecture(profile, "SCMP_ARCH_X86")) continue;
    if (abi.base >= 0x40000000 && !has_architecture(profile, "SCMP_ARCH_X32")) continue;
    if (abi.base >= 0x40000000 && !fits_x32(profile)) continue;
    for (std::uint32_t number = 0; number < abi.count; ++number) {
      // x32 lacks some of x86-64's numbers: the kernel answers ENOSYS whatever the filter says.
      if (abi.base == 0x40000000 && !is_x32_call(abi.base + number)) continue;
      for (int i = 0; i < samples && differences < 10; ++i) {
        const auto data = call(abi.arch, abi.base + number, arguments.next(abi.wide));
        const std::uint32_t mine = run(ours, data);
        const std::uint32_t reference = run(theirs, data);
        // Newer than everything in the profile: "not implemented" instead of the default.
        if (mine == error(ENOSYS) && reference == otherwise) continue;
        if (mine == reference) continue;
        ++differences;
        ADD_FAILURE() << fmt::format("arch {:#x} number {:#x} args {:#x} {:#x}: ours {:#x}, libseccomp's {:#x}",
                                     abi.arch, abi.base + number, data.args[0], data.args[1], mine, reference);
      }
    }
  }
}

#if defined(__x86_64__)

TEST(Seccomp, DefaultProfileIsEquivalentToLibseccomps) {
  const std::uint64_t sets[] = {0, capability_bits(default_capabilities()), (std::uint64_t{1} << 41) - 1};
  for (const std::uint64_t capabilities : sets) expect_same(default_seccomp_profile(capabilities, 6018), 20);
}

TEST(Seccomp, CVE_2017_18367_RandomRulesAreEquivalentToLibseccomps) {
  std::mt19937_64 random(7);
  const char* operators[] = {"SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_LT",       "SCMP_CMP_LE",
                             "SCMP_CMP_GT", "SCMP_CMP_GE", "SCMP_CMP_MASKED_EQ"};
  const char* names[] = {"read", "ioctl", "openat", "fcntl", "prctl", "mmap", "futex", "kill"};
  for (int round = 0; round < 60; ++round) {
    std::vector<oci::LinuxSyscall> calls = {{{"getpid", "write", "exit_group"}, "SCMP_ACT_ALLOW", {}, {}}};
    for (const char* name : names) {
      // One rule a call: what overlapping rules mean, libseccomp does not promise.
      oci::LinuxSyscall entry = {{name}, "SCMP_ACT_ALLOW", {}, {}};
      if (random() % 3 == 0) {
        entry.action = "SCMP_ACT_ERRNO";
        entry.errno_ret = 13;
      }
      const std::uint32_t conditions = static_cast<std::uint32_t>(random() % 4);
      for (std::uint32_t i = 0; i < conditions; ++i) {
        const std::uint64_t value = random() >> (round % 2 == 0 ? random() % 60 : 32 + random() % 30);
        const std::uint64_t datum = random() % 2 == 0 ? value & random() : value;
        entry.args.push_back({i * 2 % 6, value, datum, operators[random() % 7]});
      }
      calls.push_back(entry);
    }
    expect_same(profile_with(calls), 60);
    if (HasFailure()) return;
  }
}

// Names of x86-64's calls; those that i386 has in socketcall and ipc, too, are told apart.
std::vector<std::string> call_names(bool with_multiplexed) {
  std::vector<std::string> names;
  for (int number = 0; number < 424; ++number) {
    char* name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, number);
    if (name == nullptr) continue;
    const int other = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86, name);
    // Below zero: the library's number for a call that this ABI multiplexes or lacks.
    const bool multiplexed = other < 0 || (other >= 359 && other <= 373) || (other >= 393 && other <= 402) ||
                             std::strcmp(name, "recvmmsg") == 0 || std::strcmp(name, "sendmmsg") == 0;
    if (with_multiplexed || !multiplexed) names.emplace_back(name);
    std::free(name);
  }
  return names;
}

TEST(Seccomp, EveryActionOperatorAndArchitectureIsLibseccomps) {
  const char* actions[] = {"SCMP_ACT_ALLOW",        "SCMP_ACT_ERRNO",       "SCMP_ACT_KILL",
                           "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP",
                           "SCMP_ACT_TRACE",        "SCMP_ACT_LOG",         "SCMP_ACT_NOTIFY"};
  const char* operators[] = {"SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_LT",       "SCMP_CMP_LE",
                             "SCMP_CMP_GT", "SCMP_CMP_GE", "SCMP_CMP_MASKED_EQ"};
  std::mt19937_64 random(11);
  const auto numbered = [](const std::string& action) {
    return action == "SCMP_ACT_ERRNO" || action == "SCMP_ACT_TRACE";
  };
  const std::vector<std::string> plain = call_names(true);
  const std::vector<std::string> testable = call_names(false);
  for (int round = 0; round < 60 && !HasFailure(); ++round) {
    oci::LinuxSeccomp profile;
    profile.default_action = actions[static_cast<std::size_t>(round) % 8];
    if (numbered(profile.default_action)) profile.default_errno_ret = static_cast<std::uint32_t>(random() % 4096);
    profile.listener_path = "/run/agent";
    profile.architectures = {"SCMP_ARCH_X86_64"};
    if (random() % 3 != 0) profile.architectures.emplace_back("SCMP_ARCH_X86");
    if (random() % 3 != 0) profile.architectures.emplace_back("SCMP_ARCH_X32");
    std::set<std::string> used = {"write"};
    for (int i = 0; i < 40; ++i) {
      const bool conditional = random() % 2 == 0;
      const std::vector<std::string>& names = conditional ? testable : plain;
      oci::LinuxSyscall entry = {{names[random() % names.size()]}, actions[random() % 9], {}, {}};
      // One rule a call: what overlapping rules mean, libseccomp does not promise.
      if (!used.insert(entry.names[0]).second) continue;
      if (numbered(entry.action)) entry.errno_ret = static_cast<std::uint32_t>(random() % 4096);
      for (std::uint32_t index = 0; conditional && index < 6; index += 1 + static_cast<std::uint32_t>(random() % 5)) {
        const std::uint64_t value = random() >> (round % 2 == 0 ? random() % 64 : 32 + random() % 31);
        const std::uint64_t datum = random() % 2 == 0 ? value & random() : value;
        entry.args.push_back({index, value, datum, operators[random() % 7]});
      }
      profile.syscalls.push_back(entry);
    }
    expect_same(profile, 8);
  }
}

TEST(Seccomp, FlagsAreThoseOfTheKernel) {
  const auto flags_of = [](std::vector<std::string> flags, bool notifies) {
    oci::LinuxSeccomp profile = profile_with({{{"mkdir"}, notifies ? "SCMP_ACT_NOTIFY" : "SCMP_ACT_ALLOW", {}, {}}});
    profile.flags = std::move(flags);
    profile.listener_path = "/run/agent";
    return compile_seccomp(profile).flags;
  };
  EXPECT_EQ(flags_of({}, false), std::uint32_t{SECCOMP_FILTER_FLAG_SPEC_ALLOW});
  EXPECT_EQ(flags_of({"SECCOMP_FILTER_FLAG_LOG"}, false), std::uint32_t{SECCOMP_FILTER_FLAG_LOG});
  EXPECT_EQ(flags_of({"SECCOMP_FILTER_FLAG_TSYNC"}, false), 0U) << "one thread";
  EXPECT_EQ(flags_of({"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"}, false), 0U) << "nobody waits";
  EXPECT_EQ(flags_of({"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"}, true),
            std::uint32_t{SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV | SECCOMP_FILTER_FLAG_NEW_LISTENER});
  EXPECT_EQ(flags_of({"SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_LOG"}, true),
            std::uint32_t{SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_NEW_LISTENER});
  EXPECT_THROW(flags_of({"SECCOMP_FILTER_FLAG_BOGUS"}, false), Error);
}

TEST(Seccomp, NumbersOnlyForActionsThatTakeThem) {
  for (const char* action : {"SCMP_ACT_ALLOW", "SCMP_ACT_KILL", "SCMP_ACT_TRAP", "SCMP_ACT_LOG"}) {
    EXPECT_THROW(compile_seccomp(profile_with({{{"read"}, action, 5, {}}})), Error) << action;
    oci::LinuxSeccomp profile = profile_with({}, action);
    profile.default_errno_ret = 5;
    EXPECT_THROW(compile_seccomp(profile), Error) << action;
  }
  EXPECT_THROW(compile_seccomp(profile_with({{{"read"}, "SCMP_ACT_ERRNO", 65536, {}}})), Error);
  const Program program = program_of(compile_seccomp(profile_with({{{"read"}, "SCMP_ACT_TRACE", 7, {}}})));
  EXPECT_EQ(run(program, call(AUDIT_ARCH_X86_64, SYS_read)), SECCOMP_RET_TRACE | 7U);
}

TEST(Seccomp, CVE_2026_31431_SocketFamiliesOfTheDefaultProfile) {
  const Program program = program_of(compile_seccomp(default_seccomp_profile(0, 6018)));
  for (const std::uint32_t arch : {std::uint32_t{AUDIT_ARCH_X86_64}, std::uint32_t{AUDIT_ARCH_I386}}) {
    const std::uint32_t number = arch == AUDIT_ARCH_I386 ? 359 : SYS_socket;
    for (const std::uint64_t family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET})
      EXPECT_EQ(run(program, call(arch, number, {family})), allow()) << family;
    for (const std::uint64_t family : {AF_ALG, AF_VSOCK, AF_DECnet, AF_APPLETALK, AF_X25, AF_IPX, AF_RDS, AF_KCM})
      EXPECT_EQ(run(program, call(arch, number, {family})), error(EPERM)) << family;
  }
  EXPECT_EQ(run(program, call(AUDIT_ARCH_X86_64, 0x40000000 + SYS_socket, {AF_ALG})), error(EPERM));
  // 32-bit programs still have their sockets.
  EXPECT_EQ(run(program, call(AUDIT_ARCH_I386, 102, {1})), allow());
}

TEST(Seccomp, KernelSurfaceOfTheDefaultProfile) {
  const Program plain =
      program_of(compile_seccomp(default_seccomp_profile(capability_bits(default_capabilities()), 6018)));
  for (const long number : {SYS_mount,
                            SYS_umount2,
                            SYS_unshare,
                            SYS_setns,
                            SYS_bpf,
                            SYS_keyctl,
                            SYS_add_key,
                            SYS_kexec_load,
                            SYS_open_by_handle_at,
                            SYS_fsopen,
                            SYS_fsconfig,
                            SYS_move_mount,
                            SYS_open_tree,
                            SYS_mount_setattr,
                            SYS_userfaultfd,
                            SYS_perf_event_open,
                            SYS_io_uring_setup,
                            SYS_init_module,
                            SYS_pivot_root,
                            SYS_swapon,
                            SYS_quotactl,
                            SYS_reboot,
                            SYS_clock_settime,
                            SYS_iopl,
                            SYS_ioperm,
                            SYS_acct})
    EXPECT_EQ(run(plain, call(AUDIT_ARCH_X86_64, static_cast<std::uint32_t>(number))), error(EPERM)) << number;
  EXPECT_EQ(run(plain, call(AUDIT_ARCH_X86_64, SYS_clone3)), error(ENOSYS));
  EXPECT_EQ(run(plain, call(AUDIT_ARCH_X86_64, SYS_clone, {0x01200011})), allow());
  for (const std::uint64_t flag : {0x10000000ULL, 0x00020000ULL, 0x40000000ULL, 0x20000000ULL, 0x02000000ULL})
    EXPECT_EQ(run(plain, call(AUDIT_ARCH_X86_64, SYS_clone, {flag})), error(EPERM)) << flag;
  EXPECT_EQ(run(plain, call(AUDIT_ARCH_X86_64, 600)), error(ENOSYS)) << "newer than the profile";
  EXPECT_EQ(run(plain, call(AUDIT_ARCH_AARCH64, 0)), SECCOMP_RET_KILL_PROCESS);
  const Program admin = program_of(compile_seccomp(default_seccomp_profile(std::uint64_t{1} << 21, 6018)));
  EXPECT_EQ(run(admin, call(AUDIT_ARCH_X86_64, SYS_mount)), allow());
  EXPECT_EQ(run(admin, call(AUDIT_ARCH_X86_64, SYS_clone3)), allow());
  EXPECT_EQ(run(admin, call(AUDIT_ARCH_X86_64, SYS_unshare)), allow());
}

TEST(Seccomp, ProgramsAreShort) {
  const auto compiled = compile_seccomp(default_seccomp_profile(capability_bits(default_capabilities()), 6018));
  EXPECT_LT(compiled.filter.size() / sizeof(struct sock_filter), 400U);
}

#endif

TEST(Seccomp, SeveralConditionsOnOneArgumentAreAlternatives) {
  const auto profile =
      profile_with({{{"read"}, "SCMP_ACT_ALLOW", {}, {{0, 3, 0, "SCMP_CMP_EQ"}, {0, 5, 0, "SCMP_CMP_EQ"}}}});
  const Program program = program_of(compile_seccomp(profile));
  EXPECT_EQ(run(program, call(AUDIT_ARCH_X86_64, SYS_read, {3})), allow());
  EXPECT_EQ(run(program, call(AUDIT_ARCH_X86_64, SYS_read, {5})), allow());
  EXPECT_EQ(run(program, call(AUDIT_ARCH_X86_64, SYS_read, {4})), error(EPERM));
}

TEST(Seccomp, FarBranchesReach) {
  // More than 255 instructions between a test and where it goes.
  std::vector<oci::LinuxSyscall> calls;
  for (std::uint64_t value = 0; value < 150; ++value)
    calls.push_back({{"read"}, "SCMP_ACT_ALLOW", {}, {{0, value * 2, 0, "SCMP_CMP_EQ"}, {1, value, 0, "SCMP_CMP_GE"}}});
  const Program program = program_of(compile_seccomp(profile_with(calls)));
  EXPECT_EQ(run(program, call(AUDIT_ARCH_X86_64, SYS_read, {298, 149})), allow());
  EXPECT_EQ(run(program, call(AUDIT_ARCH_X86_64, SYS_read, {298, 148})), error(EPERM));
  EXPECT_EQ(run(program, call(AUDIT_ARCH_X86_64, SYS_write)), error(ENOSYS));
}

TEST(Seccomp, CVE_2023_2431_EmptyProfilesAreErrors) {
  EXPECT_THROW(compile_seccomp({}), Error);
  oci::LinuxSeccomp profile = profile_with({{{"read"}, "", {}, {}}});
  EXPECT_THROW(compile_seccomp(profile), Error);
  profile = profile_with({{{"read"}, "SCMP_ACT_ALLOW", {}, {{0, 1, 0, "SCMP_CMP_BOGUS"}}}});
  EXPECT_THROW(compile_seccomp(profile), Error);
  profile = profile_with({{{"read"}, "SCMP_ACT_ALLOW", {}, {{6, 1, 0, "SCMP_CMP_EQ"}}}});
  EXPECT_THROW(compile_seccomp(profile), Error);
  profile = profile_with({});
  profile.architectures = {"SCMP_ARCH_BOGUS"};
  EXPECT_THROW(compile_seccomp(profile), Error);
  profile = profile_with({{{}, "SCMP_ACT_ALLOW", {}, {}}});
  EXPECT_THROW(compile_seccomp(profile), Error);
}

TEST(Seccomp, UnknownCallsAreSkippedWithAWarning) {
  std::vector<std::string> warnings;
  compile_seccomp(profile_with({{{"read", "frobnicate"}, "SCMP_ACT_ALLOW", {}, {}}}), &warnings);
  EXPECT_THAT(warnings, Contains(HasSubstr("frobnicate")));
}

TEST(Seccomp, DefaultProfileNamesOnlyRealCalls) {
  std::vector<std::string> warnings;
  compile_seccomp(default_seccomp_profile(~std::uint64_t{0}, 6018), &warnings);
  // Of other architectures, or newer than the library that was asked.
  for (const std::string& warning : warnings) std::printf("note: %s\n", warning.c_str());
  EXPECT_LT(warnings.size(), 5U);
}

// Every call without arguments that could harm, executed under the filter and compared with the interpreter.
TEST(Seccomp, KernelAgreesWithTheInterpreter) {
  const SeccompProgram compiled =
      compile_seccomp(default_seccomp_profile(capability_bits(default_capabilities()), 6018));
  const Program program = program_of(compiled);
  int pipe_ends[2];
  ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    struct sock_fprog filter = {static_cast<unsigned short>(program.size()),
                                const_cast<struct sock_filter*>(program.data())};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, compiled.flags, &filter) != 0) ::_exit(1);
    // Refused calls never reach the kernel's own code, so asking for them is harmless.
    for (std::uint32_t number = 0; number < 480; ++number) {
      // uretprobe and uprobe pass no filter (Linux 6.14), and kill whoever calls them by hand.
      if (number == 335 || number == 336) continue;
      const std::uint32_t verdict = run(program, call(AUDIT_ARCH_X86_64, number, {UINT64_MAX, UINT64_MAX, UINT64_MAX}));
      if (verdict == SECCOMP_RET_ALLOW) continue;
      const long result = ::syscall(number, -1L, -1L, -1L, -1L, -1L, -1L);
      const std::uint32_t got = result == -1 ? static_cast<std::uint32_t>(errno) : 0;
      if (got != (verdict & SECCOMP_RET_DATA) && ::write(pipe_ends[1], &number, sizeof number) < 0) ::_exit(2);
    }
    ::_exit(0);
  }
  ::close(pipe_ends[1]);
  std::uint32_t number = 0;
  while (::read(pipe_ends[0], &number, sizeof number) == sizeof number) ADD_FAILURE() << "call " << number;
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
  ::close(pipe_ends[0]);
}

TEST(Seccomp, CacheGivesTheSameProgram) {
  const auto profile = default_seccomp_profile(0, 6018);
  EXPECT_EQ(compile_seccomp_cached(profile), compile_seccomp(profile));
  EXPECT_EQ(compile_seccomp_cached(profile), compile_seccomp_cached(profile));
  auto other = profile;
  other.default_errno_ret = 2;
  EXPECT_NE(compile_seccomp_cached(other), compile_seccomp_cached(profile));
}

}  // namespace
}  // namespace bryo::runtime

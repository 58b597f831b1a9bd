#include "kernel/cgroup_devices.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace bryo::kernel {
namespace {

// Registers of the compiled program.
constexpr std::uint8_t kResult = BPF_REG_0, kContext = BPF_REG_1, kType = BPF_REG_2, kAccess = BPF_REG_3,
                       kMajor = BPF_REG_4, kMinor = BPF_REG_5, kScratch = BPF_REG_1;

bpf_insn instruction(int code, std::uint8_t target, std::uint8_t source, std::int16_t offset, std::int32_t value) {
  return {static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(target & 15),
          static_cast<std::uint8_t>(source & 15), offset, value};
}

std::int32_t type_bits(char type) { return type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR; }

std::int32_t access_bits(const CgroupDeviceRule& rule) {
  std::int32_t bits = 0;
  for (const char c : rule.access) {
    if (c == 'r')
      bits |= BPF_DEVCG_ACC_READ;
    else if (c == 'w')
      bits |= BPF_DEVCG_ACC_WRITE;
    else if (c == 'm')
      bits |= BPF_DEVCG_ACC_MKNOD;
    else
      fail(ErrorKind::invalid_argument, "device access \"{}\" has a letter other than r, w and m", rule.access);
  }
  return bits;
}

// Tests of one rule; a failing test jumps behind the rule's verdict.
std::vector<bpf_insn> compile_rule(const CgroupDeviceRule& rule) {
  constexpr std::int32_t everything = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD;
  std::vector<bpf_insn> code;
  std::vector<std::size_t> jumps;
  const auto skip_unless = [&](int comparison, std::uint8_t reg, std::int32_t value) {
    jumps.push_back(code.size());
    code.push_back(instruction(BPF_JMP | comparison | BPF_K, reg, 0, 0, value));
  };
  if (rule.type != 'a') skip_unless(BPF_JNE, kType, type_bits(rule.type));
  if (const std::int32_t bits = access_bits(rule); bits != everything && rule.type != 'a') {
    code.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_X, kScratch, kAccess, 0, 0));
    // An allowance must cover all that is asked; a denial bites when it touches any of it.
    code.push_back(instruction(BPF_ALU64 | BPF_AND | BPF_K, kScratch, 0, 0, rule.allow ? ~bits & everything : bits));
    skip_unless(rule.allow ? BPF_JNE : BPF_JEQ, kScratch, 0);
  }
  if (rule.major && rule.type != 'a') skip_unless(BPF_JNE, kMajor, static_cast<std::int32_t>(*rule.major));
  if (rule.minor && rule.type != 'a') skip_unless(BPF_JNE, kMinor, static_cast<std::int32_t>(*rule.minor));
  code.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_K, kResult, 0, 0, rule.allow ? 1 : 0));
  code.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
  for (const std::size_t at : jumps) code[at].off = static_cast<std::int16_t>(code.size() - at - 1);
  return code;
}

long bpf(int command, bpf_attr& attributes) { return ::syscall(SYS_bpf, command, &attributes, sizeof attributes); }

bpf_attr cleared() {
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  return attributes;
}

std::uint64_t address(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

UniqueFd load(const std::vector<bpf_insn>& code) {
  static constexpr char license[] = "Apache-2.0";
  bpf_attr attributes = cleared();
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = address(code.data());
  attributes.insn_cnt = static_cast<std::uint32_t>(code.size());
  attributes.license = address(license);
  UniqueFd program(static_cast<int>(bpf(BPF_PROG_LOAD, attributes)));
  if (!program)
    fail_errno("load the device rules as a BPF program ({} instructions; needs CAP_BPF or CAP_SYS_ADMIN)", code.size());
  return program;
}

std::vector<std::uint32_t> attached_programs(int directory) {
  std::vector<std::uint32_t> ids(64);
  bpf_attr attributes = cleared();
  attributes.query.target_fd = static_cast<std::uint32_t>(directory);
  attributes.query.attach_type = BPF_CGROUP_DEVICE;
  attributes.query.prog_ids = address(ids.data());
  attributes.query.prog_cnt = static_cast<std::uint32_t>(ids.size());
  if (bpf(BPF_PROG_QUERY, attributes) < 0) return {};
  ids.resize(attributes.query.prog_cnt);
  return ids;
}

void detach(int directory, std::uint32_t id) {
  bpf_attr by_id = cleared();
  by_id.prog_id = id;
  const UniqueFd program(static_cast<int>(bpf(BPF_PROG_GET_FD_BY_ID, by_id)));
  if (!program) return;
  bpf_attr attributes = cleared();
  attributes.target_fd = static_cast<std::uint32_t>(directory);
  attributes.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
  attributes.attach_type = BPF_CGROUP_DEVICE;
  bpf(BPF_PROG_DETACH, attributes);
}

}  // namespace

std::vector<bpf_insn> compile_device_rules(const std::vector<CgroupDeviceRule>& rules) {
  const auto load_word = [](std::uint8_t reg, std::size_t offset) {
    return instruction(BPF_LDX | BPF_W | BPF_MEM, reg, kContext, static_cast<std::int16_t>(offset), 0);
  };
  std::vector<bpf_insn> code{
      load_word(kType, offsetof(bpf_cgroup_dev_ctx, access_type)),
      instruction(BPF_ALU64 | BPF_MOV | BPF_X, kAccess, kType, 0, 0),
      instruction(BPF_ALU64 | BPF_AND | BPF_K, kType, 0, 0, 0xffff),
      instruction(BPF_ALU64 | BPF_RSH | BPF_K, kAccess, 0, 0, 16),
      load_word(kMajor, offsetof(bpf_cgroup_dev_ctx, major)),
      load_word(kMinor, offsetof(bpf_cgroup_dev_ctx, minor)),
  };
  bool decided = false;
  for (auto rule = rules.rbegin(); rule != rules.rend() && !decided; ++rule) {
    const auto part = compile_rule(*rule);
    code.insert(code.end(), part.begin(), part.end());
    // The verifier refuses code that cannot be reached: what stands before a rule for everything is void.
    decided = rule->type == 'a';
  }
  if (!decided) {
    code.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_K, kResult, 0, 0, 0));
    code.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
  }
  return code;
}

void attach_device_rules(int cgroup_directory, const std::vector<CgroupDeviceRule>& rules) {
  const UniqueFd program = load(compile_device_rules(rules));
  const auto before = attached_programs(cgroup_directory);
  bpf_attr attributes = cleared();
  attributes.target_fd = static_cast<std::uint32_t>(cgroup_directory);
  attributes.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  if (bpf(BPF_PROG_ATTACH, attributes) < 0) fail_errno("attach the device rules (BPF) to the cgroup");
  // All programs of a cgroup must agree, so the old one goes after the new one is in force.
  for (const std::uint32_t id : before) detach(cgroup_directory, id);
}

}  // namespace bryo::kernel

// The compiler: rules → one table of intervals an ABI → binary search. A call that has unconditional rules takes the
// first of them; else its conditional rules are asked in their order.
#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <set>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "runtime/plan/bpf_assembler.hpp"
#include "runtime/plan/plan_builder.hpp"
#include "runtime/plan/seccomp_names.hpp"
#include "runtime/seccomp_profile.hpp"

namespace bryo::runtime {
namespace {

constexpr std::uint32_t kNumberOffset = offsetof(struct seccomp_data, nr);
constexpr std::uint32_t kArchOffset = offsetof(struct seccomp_data, arch);

enum class Compare : std::uint8_t { eq, ne, lt, le, gt, ge, masked_eq };

struct Condition {
  std::uint32_t index = 0;
  Compare compare = Compare::eq;
  std::uint64_t value = 0;
  std::uint64_t mask = UINT64_MAX;  // of masked_eq
  auto operator<=>(const Condition&) const = default;
};

struct Rule {
  std::uint32_t action = 0;
  std::vector<Condition> conditions;  // all must hold
  auto operator<=>(const Rule&) const = default;
};

// What happens for one number: rules in order, then the profile's default.
using Chain = std::vector<Rule>;

// --- actions ---

// SECCOMP_RET_ERRNO and SECCOMP_RET_TRACE carry a number; of another action, "the runtime MUST" refuse it.
std::uint32_t action_value(const std::string& action, std::optional<std::uint32_t> number, std::string_view field) {
  constexpr std::pair<std::string_view, std::uint32_t> kActions[] = {
      {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},      {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
      {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD}, {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
      {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},        {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
      {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},      {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
      {"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF}};
  const auto* const known = std::ranges::find(kActions, action, &std::pair<std::string_view, std::uint32_t>::first);
  // Also an empty profile: confinement that was asked for must not turn into none (CVE-2023-2431).
  if (known == std::end(kActions))
    fail(ErrorKind::invalid_argument, "{}: unknown action \"{}\"", field, printable(action));
  const bool takes_number = known->second == SECCOMP_RET_ERRNO || known->second == SECCOMP_RET_TRACE;
  if (!takes_number && number)
    fail(ErrorKind::invalid_argument, "{}: {} takes no errnoRet, but there is {}", field, action, *number);
  const std::uint32_t data = number.value_or(EPERM);
  if (data > SECCOMP_RET_DATA) fail(ErrorKind::invalid_argument, "{}: errno {} is too large", field, data);
  return takes_number ? known->second | data : known->second;
}

bool is_permissive(std::uint32_t action) { return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG; }

bool notifies(const oci::LinuxSyscall& entry) { return entry.action == "SCMP_ACT_NOTIFY"; }
bool notifies(const oci::LinuxSeccomp& profile) {
  return std::ranges::any_of(profile.syscalls, [](const auto& entry) { return notifies(entry); });
}

std::uint32_t flag_bits(const oci::LinuxSeccomp& profile) {
  constexpr std::pair<std::string_view, std::uint32_t> kFlags[] = {
      {"SECCOMP_FILTER_FLAG_TSYNC", 0},  // we have one thread
      {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
      {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
      {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV}};
  const std::uint32_t listener = notifies(profile) ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
  // As other runtimes do: a filter alone is no reason to slow the program down.
  if (profile.flags.empty()) return SECCOMP_FILTER_FLAG_SPEC_ALLOW | listener;
  std::uint32_t bits = listener;
  for (const std::string& flag : profile.flags) {
    const auto* const known = std::ranges::find(kFlags, flag, &std::pair<std::string_view, std::uint32_t>::first);
    if (known == std::end(kFlags))
      fail(ErrorKind::invalid_argument, "linux.seccomp.flags: unknown flag \"{}\"", printable(flag));
    bits |= known->second;
  }
  // The kernel refuses it without a listener, where there is nothing to wait for.
  return listener != 0 ? bits : bits & ~std::uint32_t{SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV};
}

// The agent gets the listener from our launcher, which learns of it by write(2): that call must go through.
void check_listener(const oci::LinuxSeccomp& profile) {
  if (profile.default_action == "SCMP_ACT_NOTIFY")
    fail(ErrorKind::unsupported, "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY would hold the runtime's own calls");
  if (notifies(profile) && profile.listener_path.empty())
    fail(ErrorKind::invalid_argument, "linux.seccomp.listenerPath: missing: SCMP_ACT_NOTIFY needs an agent");
  if (!profile.listener_metadata.empty() && profile.listener_path.empty())
    fail(ErrorKind::invalid_argument, "linux.seccomp.listenerMetadata: given without listenerPath");
  if (!profile.listener_path.empty() && !profile.listener_path.starts_with('/'))
    fail(ErrorKind::invalid_argument, "linux.seccomp.listenerPath: \"{}\" is not an absolute path",
         printable(profile.listener_path));
  checked_text(profile.listener_path, "linux.seccomp.listenerPath");
  checked_text(profile.listener_metadata, "linux.seccomp.listenerMetadata");
  for (const auto& entry : profile.syscalls)
    if (notifies(entry) && std::ranges::find(entry.names, "write") != entry.names.end())
      fail(ErrorKind::unsupported, "linux.seccomp.syscalls: SCMP_ACT_NOTIFY cannot be used for write");
}

// --- rules ---

Condition condition_of(const oci::LinuxSeccompArg& arg) {
  constexpr std::pair<std::string_view, Compare> kOperators[] = {{"SCMP_CMP_EQ", Compare::eq},
                                                                 {"SCMP_CMP_NE", Compare::ne},
                                                                 {"SCMP_CMP_LT", Compare::lt},
                                                                 {"SCMP_CMP_LE", Compare::le},
                                                                 {"SCMP_CMP_GT", Compare::gt},
                                                                 {"SCMP_CMP_GE", Compare::ge},
                                                                 {"SCMP_CMP_MASKED_EQ", Compare::masked_eq}};
  if (arg.index > 5) fail(ErrorKind::invalid_argument, "linux.seccomp: argument index {} is above 5", arg.index);
  for (const auto& [name, compare] : kOperators) {
    if (name != arg.op) continue;
    if (compare == Compare::masked_eq) return {arg.index, compare, arg.value_two & arg.value, arg.value};
    return {arg.index, compare, arg.value, UINT64_MAX};
  }
  fail(ErrorKind::invalid_argument, "linux.seccomp: unknown operator \"{}\"", printable(arg.op));
}

// Conditions on different arguments must all hold. Several on one argument are alternatives, as runc reads the
// specification.
std::vector<Rule> rules_of(const oci::LinuxSyscall& entry) {
  const std::uint32_t action = action_value(entry.action, entry.errno_ret, "linux.seccomp.syscalls");
  std::vector<Condition> conditions;
  std::set<std::uint32_t> indices;
  for (const auto& arg : entry.args) {
    conditions.push_back(condition_of(arg));
    indices.insert(arg.index);
  }
  if (indices.size() == conditions.size()) return {{action, std::move(conditions)}};
  std::vector<Rule> alternatives;
  for (const Condition& condition : conditions) alternatives.push_back({action, {condition}});
  return alternatives;
}

// number → chain of one ABI.
using Table = std::map<std::uint32_t, Chain>;

void add_multiplexed(const SeccompAbi& abi, const std::string& name, const std::vector<Rule>& rules, Table& table) {
  const auto multiplexer = multiplexed(abi, name);
  if (!multiplexer) return;
  for (const Rule& rule : rules) {
    // The call's own arguments lie in memory, out of the filter's sight: a rule about them says nothing here.
    if (!rule.conditions.empty()) continue;
    table[multiplexer->number].push_back({rule.action, {{0, Compare::eq, multiplexer->call, UINT64_MAX}}});
  }
}

Table table_of(const oci::LinuxSeccomp& profile, const SeccompAbi& abi) {
  Table table;
  for (const auto& entry : profile.syscalls) {
    const std::vector<Rule> rules = rules_of(entry);
    for (const std::string& name : entry.names) {
      for (const std::uint32_t number : syscall_numbers(abi, name))
        table[number].insert(table[number].end(), rules.begin(), rules.end());
      add_multiplexed(abi, name, rules, table);
    }
  }
  for (auto& [number, chain] : table) {
    const auto unconditional = std::ranges::find_if(chain, [](const Rule& r) { return r.conditions.empty(); });
    if (unconditional != chain.end()) chain = {*unconditional};
  }
  return table;
}

struct Interval {
  std::uint32_t first = 0;
  Chain chain;  // empty: the default
};

// Neighbours with the same fate become one. What is newer than everything the profile knows of answers ENOSYS, so that
// programs fall back instead of failing.
std::vector<Interval> intervals_of(const Table& table, std::uint32_t first, bool unknown_is_enosys) {
  std::vector<Interval> out = {{first, {}}};
  const auto add = [&out](std::uint32_t at, const Chain& chain) {
    if (out.back().chain == chain) return;
    if (out.back().first == at)
      out.back().chain = chain;
    else
      out.push_back({at, chain});
  };
  std::uint32_t expected = first;
  for (const auto& [number, chain] : table) {
    if (number > expected) add(expected, {});
    add(number, chain);
    expected = number + 1;
  }
  add(expected, unknown_is_enosys ? Chain{{SECCOMP_RET_ERRNO | ENOSYS, {}}} : Chain{});
  return out;
}

// --- code ---

// Emits binary searches whose ends are shared: a verdict that two intervals have in common is one instruction a search,
// so n intervals cost little more than n instructions.
class Generator {
 public:
  explicit Generator(std::uint32_t default_action) : default_action_(default_action) {}

  void search(const std::vector<Interval>& intervals, bool wide) {
    search(intervals, 0, intervals.size(), wide);
    for (const auto& [action, label] : verdicts_) {
      code.bind(label);
      code.finish(action);
    }
    verdicts_.clear();
  }

  // After all searches: the bodies that they jump to.
  void chains() {
    for (const auto& [key, label] : chains_) {
      code.bind(label);
      for (const Rule& rule : key.chain) emit(rule, key.wide);
      if (!key.chain.back().conditions.empty()) code.finish(default_action_);
    }
  }

  BpfAssembler code;

 private:
  struct ChainKey {
    Chain chain;
    bool wide = true;
    auto operator<=>(const ChainKey&) const = default;
  };

  void search(const std::vector<Interval>& intervals, std::size_t from, std::size_t to, bool wide) {
    if (to - from == 1) {
      code.jump(end_of(intervals[from].chain, wide));
      return;
    }
    const std::size_t middle = from + (to - from) / 2;
    const bool left_ends = middle - from == 1;
    const bool right_ends = to - middle == 1;
    const BpfAssembler::Label left = left_ends ? end_of(intervals[from].chain, wide) : BpfAssembler::kNext;
    const BpfAssembler::Label right = right_ends ? end_of(intervals[middle].chain, wide) : code.new_label();
    code.branch(BPF_JGE, intervals[middle].first, right, left);
    if (!left_ends) search(intervals, from, middle, wide);
    if (right_ends) return;
    code.bind(right);
    search(intervals, middle, to, wide);
  }

  // Where an interval's numbers go.
  BpfAssembler::Label end_of(const Chain& chain, bool wide) {
    if (chain.empty()) return verdict(default_action_);
    if (chain.front().conditions.empty()) return verdict(chain.front().action);
    return label_of(chain, wide);
  }

  BpfAssembler::Label verdict(std::uint32_t action) {
    const auto [entry, fresh] = verdicts_.try_emplace(action, 0);
    if (fresh) entry->second = code.new_label();
    return entry->second;
  }

  BpfAssembler::Label label_of(const Chain& chain, bool wide) {
    const auto [entry, fresh] = chains_.try_emplace(ChainKey{chain, wide}, 0);
    if (fresh) entry->second = code.new_label();
    return entry->second;
  }

  void emit(const Rule& rule, bool wide) {
    const BpfAssembler::Label next = code.new_label();
    for (const Condition& condition : rule.conditions) emit(condition, wide, next);
    code.finish(rule.action);
    code.bind(next);
  }

  static std::uint32_t low_offset(const Condition& c) { return offsetof(struct seccomp_data, args) + c.index * 8; }

  void load_masked(std::uint32_t offset, std::uint32_t mask) {
    code.load(offset);
    if (mask != UINT32_MAX) code.and_with(mask);
  }

  // Falls through when the condition holds. Little-endian: the low word comes first.
  void emit(const Condition& c, bool wide, BpfAssembler::Label otherwise) {
    const auto high = static_cast<std::uint32_t>(c.value >> 32);
    const auto low = static_cast<std::uint32_t>(c.value);
    const auto high_mask = static_cast<std::uint32_t>(c.mask >> 32);
    const auto low_mask = static_cast<std::uint32_t>(c.mask);
    const BpfAssembler::Label holds = code.new_label();
    // A 32-bit ABI has no high words.
    if (wide && high_mask != 0) {
      load_masked(low_offset(c) + 4, high_mask);
      compare_high(c.compare, high, holds, otherwise);
    }
    load_masked(low_offset(c), low_mask);
    compare_low(c.compare, low, otherwise);
    code.bind(holds);
  }

  // Decides by the high word, or falls through to the low one when they are equal.
  void compare_high(Compare compare, std::uint32_t value, BpfAssembler::Label holds, BpfAssembler::Label otherwise) {
    constexpr auto kNext = BpfAssembler::kNext;
    switch (compare) {
      case Compare::eq:
      case Compare::masked_eq:
        code.branch(BPF_JEQ, value, kNext, otherwise);
        return;
      case Compare::ne:
        code.branch(BPF_JEQ, value, kNext, holds);
        return;
      case Compare::gt:
      case Compare::ge:
        code.branch(BPF_JGT, value, holds, kNext);
        code.branch(BPF_JEQ, value, kNext, otherwise);
        return;
      case Compare::lt:
      case Compare::le:
        code.branch(BPF_JGT, value, otherwise, kNext);
        code.branch(BPF_JEQ, value, kNext, holds);
        return;
    }
  }

  void compare_low(Compare compare, std::uint32_t value, BpfAssembler::Label otherwise) {
    constexpr auto kNext = BpfAssembler::kNext;
    switch (compare) {
      case Compare::eq:
      case Compare::masked_eq:
        code.branch(BPF_JEQ, value, kNext, otherwise);
        return;
      case Compare::ne:
        code.branch(BPF_JEQ, value, otherwise, kNext);
        return;
      case Compare::gt:
        code.branch(BPF_JGT, value, kNext, otherwise);
        return;
      case Compare::ge:
        code.branch(BPF_JGE, value, kNext, otherwise);
        return;
      case Compare::lt:
        code.branch(BPF_JGE, value, otherwise, kNext);
        return;
      case Compare::le:
        code.branch(BPF_JGT, value, otherwise, kNext);
        return;
    }
  }

  std::uint32_t default_action_;
  std::map<ChainKey, BpfAssembler::Label> chains_;
  std::map<std::uint32_t, BpfAssembler::Label> verdicts_;  // of the search being emitted
};

std::vector<SeccompAbi> abis_of(const oci::LinuxSeccomp& profile) {
  std::vector<SeccompAbi> abis = {native_abi()};
  for (const std::string& name : profile.architectures)
    if (const auto abi = abi_of(name); abi && std::ranges::find(abis, *abi) == abis.end()) abis.push_back(*abi);
  return abis;
}

const SeccompAbi* find_abi(const std::vector<SeccompAbi>& abis, std::uint32_t audit_arch, bool x32) {
  for (const SeccompAbi& abi : abis)
    if (abi.audit_arch == audit_arch && abi.x32 == x32) return &abi;
  return nullptr;
}

constexpr std::uint32_t kFirstX32Only = 512;

// x32 shares the numbers below 512 with x86-64. When every call that it has there meets the same fate, its search is
// x86-64's, after bit 30 was taken off.
bool shares_numbers(const Table& native, const Table& x32) {
  for (auto entry = x32.begin(); entry != x32.end() && entry->first < (kX32Bit | kFirstX32Only); ++entry) {
    const auto same = native.find(entry->first & ~kX32Bit);
    if (same == native.end() || same->second != entry->second) return false;
  }
  return true;
}

Table without_shared(const Table& x32) { return {x32.lower_bound(kX32Bit | kFirstX32Only), x32.end()}; }

void emit_x86_64(const oci::LinuxSeccomp& profile, const SeccompAbi& abi, const SeccompAbi* x32, bool unknown_is_enosys,
                 Generator& out) {
  const Table native = table_of(profile, abi);
  std::vector<Interval> intervals = intervals_of(native, 0, unknown_is_enosys);
  const Table other = x32 != nullptr ? table_of(profile, *x32) : Table();
  out.code.load(kNumberOffset);
  if (x32 == nullptr || !shares_numbers(native, other)) {
    const std::vector<Interval> above = x32 != nullptr
                                            ? intervals_of(other, kX32Bit, unknown_is_enosys)
                                            : std::vector<Interval>{{kX32Bit, {{SECCOMP_RET_KILL_PROCESS, {}}}}};
    intervals.insert(intervals.end(), above.begin(), above.end());
    out.search(intervals, abi.wide);
    return;
  }
  const BpfAssembler::Label common = out.code.new_label();
  const BpfAssembler::Label own = out.code.new_label();
  out.code.branch(BPF_JGE, kX32Bit, BpfAssembler::kNext, common);
  out.code.branch(BPF_JGE, kX32Bit | kFirstX32Only, own, BpfAssembler::kNext);
  out.code.and_with(~kX32Bit);
  out.code.jump(common);
  out.code.bind(own);
  out.search(intervals_of(without_shared(other), kX32Bit | kFirstX32Only, unknown_is_enosys), abi.wide);
  out.code.bind(common);
  out.search(intervals, abi.wide);
}

// One architecture as the kernel reports it.
void emit_architecture(const oci::LinuxSeccomp& profile, const std::vector<SeccompAbi>& abis, const SeccompAbi& abi,
                       bool unknown_is_enosys, Generator& out) {
  if (abi.audit_arch == AUDIT_ARCH_X86_64) {
    emit_x86_64(profile, abi, find_abi(abis, abi.audit_arch, true), unknown_is_enosys, out);
    return;
  }
  out.code.load(kNumberOffset);
  out.search(intervals_of(table_of(profile, abi), 0, unknown_is_enosys), abi.wide);
}

std::vector<std::byte> to_bytes(const std::vector<struct sock_filter>& program) {
  std::vector<std::byte> bytes(program.size() * sizeof(struct sock_filter));
  std::memcpy(bytes.data(), program.data(), bytes.size());
  return bytes;
}

void check_names(const oci::LinuxSeccomp& profile, std::vector<std::string>* warnings) {
  for (const auto& entry : profile.syscalls) {
    if (entry.names.empty()) fail(ErrorKind::invalid_argument, "linux.seccomp.syscalls: an entry without names");
    if (warnings == nullptr) continue;
    for (const std::string& name : entry.names)
      if (!is_known_syscall(name))
        warnings->push_back(fmt::format("seccomp: system call \"{}\" is unknown and left out", printable(name)));
  }
}

}  // namespace

SeccompProgram compile_seccomp(const oci::LinuxSeccomp& profile, std::vector<std::string>* warnings) {
  check_listener(profile);
  check_names(profile, warnings);
  const std::uint32_t default_action =
      action_value(profile.default_action, profile.default_errno_ret, "linux.seccomp.defaultAction");
  const bool unknown_is_enosys = !is_permissive(default_action) && profile.default_errno_ret != ENOSYS;
  const std::vector<SeccompAbi> abis = abis_of(profile);

  Generator out(default_action);
  out.code.load(kArchOffset);
  for (const SeccompAbi& abi : abis) {
    if (abi.x32) continue;
    const BpfAssembler::Label next = out.code.new_label();
    out.code.branch(BPF_JEQ, abi.audit_arch, BpfAssembler::kNext, next);
    emit_architecture(profile, abis, abi, unknown_is_enosys, out);
    out.code.bind(next);
  }
  // An ABI that the profile does not name is not let through.
  out.code.finish(SECCOMP_RET_KILL_PROCESS);
  out.chains();
  SeccompProgram program = {to_bytes(out.code.assemble()), flag_bits(profile)};
  if (notifies(profile)) {
    program.listener_path = profile.listener_path;
    program.listener_metadata = profile.listener_metadata;
  }
  return program;
}

namespace {

// Everything that the program depends on, as text.
std::string key_of(const oci::LinuxSeccomp& profile) {
  std::string key = fmt::format("{}|{}|{}|{}|{}|{}", profile.default_action,
                                profile.default_errno_ret.value_or(0xffffffff), join(profile.architectures, ","),
                                join(profile.flags, ","), profile.listener_path, profile.listener_metadata);
  for (const auto& entry : profile.syscalls) {
    key += fmt::format("\n{}|{}|{}", entry.action, entry.errno_ret.value_or(0xffffffff), join(entry.names, ","));
    for (const auto& arg : entry.args) key += fmt::format("|{} {} {} {}", arg.index, arg.op, arg.value, arg.value_two);
  }
  return key;
}

struct Cache {
  std::mutex mutex;
  std::map<std::string, SeccompProgram> programs;  // guarded by mutex
};

}  // namespace

SeccompProgram compile_seccomp_cached(const oci::LinuxSeccomp& profile) {
  // Pure results by content: no state that anyone could observe.
  static Cache cache;
  constexpr std::size_t kMaxEntries = 64;
  const std::string key = key_of(profile);
  {
    const std::lock_guard lock(cache.mutex);
    if (const auto found = cache.programs.find(key); found != cache.programs.end()) return found->second;
  }
  SeccompProgram program = compile_seccomp(profile);
  const std::lock_guard lock(cache.mutex);
  if (cache.programs.size() >= kMaxEntries) cache.programs.clear();
  cache.programs[key] = program;
  return program;
}

SeccompProgram default_seccomp_program(std::uint64_t capabilities, std::uint32_t kernel) {
  static std::mutex mutex;
  static std::map<std::pair<std::uint64_t, std::uint32_t>, SeccompProgram> programs;  // guarded by mutex
  constexpr std::size_t kMaxEntries = 64;
  const std::pair key(capabilities, kernel);
  const std::lock_guard lock(mutex);
  if (const auto found = programs.find(key); found != programs.end()) return found->second;
  if (programs.size() >= kMaxEntries) programs.clear();
  return programs[key] = compile_seccomp(default_seccomp_profile(capabilities, kernel));
}

}  // namespace bryo::runtime

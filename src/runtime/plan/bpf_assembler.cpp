#include "runtime/plan/bpf_assembler.hpp"

#include "base/error.hpp"

namespace bryo::runtime {
namespace {

constexpr std::size_t kReach = 255;

}  // namespace

void BpfAssembler::bind(Label label) {
  if (labels_.size() < next_label_) labels_.resize(next_label_);
  labels_[label] = code_.size();
}

void BpfAssembler::load(std::uint32_t offset) { code_.push_back({{BPF_LD | BPF_W | BPF_ABS, 0, 0, offset}}); }
void BpfAssembler::and_with(std::uint32_t mask) { code_.push_back({{BPF_ALU | BPF_AND | BPF_K, 0, 0, mask}}); }
void BpfAssembler::finish(std::uint32_t value) { code_.push_back({{BPF_RET | BPF_K, 0, 0, value}}); }
void BpfAssembler::jump(Label to) { code_.push_back({{BPF_JMP | BPF_JA, 0, 0, 0}, to, to}); }
void BpfAssembler::branch(std::uint16_t operation, std::uint32_t value, Label when_true, Label when_false) {
  const auto code = static_cast<std::uint16_t>(BPF_JMP | BPF_K | operation);
  code_.push_back({{code, 0, 0, value}, when_true, when_false});
}

// A long branch is the branch and two jumps.
std::size_t BpfAssembler::length(const Instruction& instruction) const { return instruction.is_long ? 3 : 1; }

std::vector<std::size_t> BpfAssembler::lay_out() const {
  std::vector<std::size_t> addresses;
  addresses.reserve(code_.size() + 1);
  std::size_t at = 0;
  for (const Instruction& instruction : code_) {
    addresses.push_back(at);
    at += length(instruction);
  }
  addresses.push_back(at);
  return addresses;
}

bool BpfAssembler::lengthen(const std::vector<std::size_t>& addresses) {
  bool changed = false;
  for (std::size_t i = 0; i < code_.size(); ++i) {
    Instruction& instruction = code_[i];
    const bool conditional = BPF_CLASS(instruction.raw.code) == BPF_JMP && BPF_OP(instruction.raw.code) != BPF_JA;
    if (!conditional || instruction.is_long) continue;
    for (const Label label : {instruction.when_true, instruction.when_false}) {
      if (label == kNext || addresses[labels_[label]] - addresses[i] - 1 <= kReach) continue;
      instruction.is_long = true;
      changed = true;
    }
  }
  return changed;
}

std::vector<struct sock_filter> BpfAssembler::assemble() {
  if (labels_.size() < next_label_) labels_.resize(next_label_);
  std::vector<std::size_t> addresses = lay_out();
  while (lengthen(addresses)) addresses = lay_out();
  if (addresses.back() > BPF_MAXINSNS)
    fail(ErrorKind::invalid_argument, "linux.seccomp: the profile needs {} instructions, the kernel takes {}",
         addresses.back(), BPF_MAXINSNS);
  std::vector<struct sock_filter> out;
  out.reserve(addresses.back());
  for (std::size_t i = 0; i < code_.size(); ++i) {
    const Instruction& instruction = code_[i];
    struct sock_filter raw = instruction.raw;
    // Distance from the instruction after `from`.
    const auto distance = [&](Label label, std::size_t from) {
      const std::size_t target = label == kNext ? addresses[i + 1] : addresses[labels_[label]];
      return static_cast<std::uint32_t>(target - from - 1);
    };
    if (BPF_CLASS(raw.code) != BPF_JMP) {
      out.push_back(raw);
    } else if (BPF_OP(raw.code) == BPF_JA) {
      raw.k = distance(instruction.when_true, addresses[i]);
      out.push_back(raw);
    } else if (!instruction.is_long) {
      raw.jt = static_cast<std::uint8_t>(distance(instruction.when_true, addresses[i]));
      raw.jf = static_cast<std::uint8_t>(distance(instruction.when_false, addresses[i]));
      out.push_back(raw);
    } else {
      raw.jt = 0;
      raw.jf = 1;
      out.push_back(raw);
      out.push_back({BPF_JMP | BPF_JA, 0, 0, distance(instruction.when_true, addresses[i] + 1)});
      out.push_back({BPF_JMP | BPF_JA, 0, 0, distance(instruction.when_false, addresses[i] + 2)});
    }
  }
  return out;
}

}  // namespace bryo::runtime

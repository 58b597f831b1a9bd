// Classic BPF with labels. Forward jumps only, as the kernel demands; conditional jumps reach 255 instructions, so the
// assembler lengthens those that must go further. Pure.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

namespace bryo::runtime {

class BpfAssembler {
 public:
  using Label = std::uint32_t;
  // The instruction after this one.
  static constexpr Label kNext = 0;

  Label new_label() { return next_label_++; }
  void bind(Label label);
  // Word of struct seccomp_data at this offset → accumulator.
  void load(std::uint32_t offset);
  void and_with(std::uint32_t mask);
  void finish(std::uint32_t value);
  void jump(Label to);
  // Operation: BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET.
  void branch(std::uint16_t operation, std::uint32_t value, Label when_true, Label when_false);

  std::size_t size() const { return code_.size(); }
  // Throws Error{invalid_argument} beyond 4096 instructions.
  std::vector<struct sock_filter> assemble();

 private:
  struct Instruction {
    struct sock_filter raw = {};
    Label when_true = kNext;
    Label when_false = kNext;
    bool is_long = false;  // becomes: branch over a jump
  };
  std::size_t length(const Instruction& instruction) const;
  bool lengthen(const std::vector<std::size_t>& addresses);
  std::vector<std::size_t> lay_out() const;

  std::vector<Instruction> code_;
  std::vector<std::size_t> labels_{0};  // label → index of instruction
  Label next_label_ = 1;
};

}  // namespace bryo::runtime

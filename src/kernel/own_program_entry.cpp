// bryo_protected_entry: the first instructions of a static program that has to run from a read-only view of itself
// (own_program.hpp). Linked in by `-e bryo_protected_entry`, in front of the C library's _start.
//
// Why not in main: the C library's start costs more than the execve that follows (it asks the CPU for its features with
// CPUID, which a virtual machine traps: 0.2 ms), and a program that begins anew would pay for it twice.
//
// Nothing of the C library works yet: no thread pointer (hence no stack protector), no resolved memcpy. So this file
// calls nothing that is not in it (tools/check_symbols.py proves it), and run_from_read_only_view() stays behind it for
// whatever it leaves undone.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

namespace {

long system_call(long number, const void* a, const void* b, long c = 0, const void* d = nullptr, long e = 0) noexcept {
  long result = number;
  register const void* fourth __asm__("r10") = d;
  register long fifth __asm__("r8") = e;
  __asm__ volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth) : "rcx", "r11", "memory");
  return result;
}

const void* number(long value) noexcept { return reinterpret_cast<const void*>(value); }

bool same(const char* a, const char* b) noexcept {
  while (*a != '\0' && *a == *b) ++a, ++b;
  return *a == *b;
}

constexpr const char* kCommandsThatClone[] = {"run", "create", "exec", "restore"};

// One of them is among the words, if it is one. A container with such a name costs another command an execve.
bool may_clone(const char* const* words) noexcept {
  for (; *words != nullptr; ++words)
    for (const char* command : kCommandsThatClone)
      if (same(*words, command)) return true;
  return false;
}

}  // namespace

// `stack`: as the kernel leaves it to a program: argc, argv, NULL, environment, NULL.
extern "C" __attribute__((visibility("hidden"), used)) void bryo_enter_read_only_view(const long* stack) noexcept {
  const auto* arguments = reinterpret_cast<const char* const*>(stack + 1);
  if (!may_clone(arguments)) return;
  constexpr const char* kOwnProgram = "/proc/self/exe";
  struct statfs info;
  if (system_call(SYS_statfs, kOwnProgram, &info) != 0 || (info.f_flags & ST_RDONLY) != 0) return;
  // Left open by execveat: main takes it (take_own_view), for to close it costs time.
  const long view = system_call(SYS_open_tree, number(AT_FDCWD), kOwnProgram, OPEN_TREE_CLONE);
  if (view < 0) return;
  const struct mount_attr read_only = {MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, 0};
  if (system_call(SYS_mount_setattr, number(view), "", AT_EMPTY_PATH, &read_only, sizeof read_only) == 0)
    system_call(SYS_execveat, number(view), "", reinterpret_cast<long>(arguments), arguments + *stack + 1,
                AT_EMPTY_PATH);
  // Only here when it failed: the program goes on as it is, and main decides.
  system_call(SYS_close, number(view), nullptr);
}

// rdx (a function for atexit) and the stack are handed on as they came; the stack is aligned to 16 bytes at a call.
__asm__(
    ".pushsection .text.bryo_protected_entry, \"ax\", @progbits\n"
    ".globl bryo_protected_entry\n"
    ".hidden bryo_protected_entry\n"
    ".type bryo_protected_entry, @function\n"
    "bryo_protected_entry:\n"
    "  mov %rsp, %rdi\n"
    "  push %rdx\n"
    "  sub $8, %rsp\n"
    "  call bryo_enter_read_only_view\n"
    "  add $8, %rsp\n"
    "  pop %rdx\n"
    "  jmp _start\n"
    ".size bryo_protected_entry, . - bryo_protected_entry\n"
    ".popsection\n");

#endif

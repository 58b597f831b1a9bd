// A child that shares its parent's memory, and with it the calling thread's local storage (clone(2), CLONE_VM).
#pragma once

#include <sched.h>
#include <sys/types.h>

#ifdef __SANITIZE_THREAD__
// The C library's own name for clone(). The thread sanitizer replaces the other one by its idea of a fork: in the child
// it switches its book-keeping off for a copied thread, which here is the parent's own, and finds races for ever after.
extern "C" int __clone(int (*function)(void*), void* stack, int flags, void* argument, ...);
#endif

namespace bryo::kernel {

// Runs function(argument) on a stack that grows down from `stack_end`. Signals are to be blocked. Returns what clone()
// does: -1 with errno.
inline pid_t clone_sharing_memory(int (*function)(void*), void* stack_end, int flags, void* argument) {
#ifdef __SANITIZE_THREAD__
  return ::__clone(function, stack_end, flags | CLONE_VM, argument);
#else
  return ::clone(function, stack_end, flags | CLONE_VM, argument);
#endif
}

}  // namespace bryo::kernel

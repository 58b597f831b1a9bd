// The program file that this process runs, kept from being written to through /proc/PID/exe (CVE-2019-5736).
#pragma once

#include "base/unique_fd.hpp"

namespace bryo::kernel {

// True when nobody can open our program for writing through /proc/PID/exe: it lies on a read-only mount, or in a memfd.
bool own_program_is_read_only();

// Executes the same program again from a detached, read-only view of it, with the same arguments and environment,
// unless it runs from one already. Returns when it does, or when the host does not let us make one (no CAP_SYS_ADMIN).
void run_from_read_only_view(char** arguments);

// The descriptor of the view that this program was started from, when its first instructions made it; else empty. Asked
// once. Whoever closes it, the last one of a detached mount, waits for an RCU grace period (0.1 to 0.3 ms): better a
// thread that nobody waits for. execveat(2), getauxval(3): AT_EXECFN names the descriptor.
UniqueFd take_own_view();

}  // namespace bryo::kernel

// The program file that this process runs, kept from being written to through /proc/PID/exe (CVE-2019-5736).
#pragma once

namespace bryo::kernel {

// True when nobody can open our program for writing through /proc/PID/exe: it lies on a read-only mount, or in a memfd.
bool own_program_is_read_only();

// Executes the same program again from a detached, read-only view of it, with the same arguments and environment,
// unless it runs from one already. Returns when it does, or when the host does not let us make one (no CAP_SYS_ADMIN).
void run_from_read_only_view(char** arguments);

}  // namespace bryo::kernel

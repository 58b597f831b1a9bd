// Where work can be done beside the caller's.
#pragma once

#include <sched.h>

#include <optional>

namespace bryo::kernel {

// The processors that the calling thread may run on (sched_getaffinity(2)), but for the one that it runs on, if one of
// them is idle at this moment, as far as the number of tasks that run tells (proc_loadavg(5)). Empty on a busy machine:
// there its scheduler knows better, and a thread for work that could be done in line only costs time.
std::optional<cpu_set_t> idle_processors();

}  // namespace bryo::kernel

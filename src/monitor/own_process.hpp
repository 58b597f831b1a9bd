// What the monitor does to itself: be hard to kill, impossible to trace, and small.
#pragma once

namespace bryo::monitor {

// This process's oom_score_adj; 0 when it cannot be read. Ask before protect_this_process().
int original_oom_score_adj();
// oom_score_adj as low as allowed (children get theirs from their plan), not dumpable.
void protect_this_process();
// What malloc keeps goes back to the kernel.
void give_back_heap();

}  // namespace bryo::monitor

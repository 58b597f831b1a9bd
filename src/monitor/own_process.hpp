// What the monitor does to itself: be hard to kill, impossible to trace, and small.
#pragma once

namespace bryo::monitor {

// This process's oom_score_adj; 0 when it cannot be read. Ask before protect_this_process().
int original_oom_score_adj();
// oom_score_adj as low as allowed (children get theirs from their plan), not dumpable.
void protect_this_process();
// What malloc keeps, the stack below us and the pages of our own code go back to the kernel. For the main thread.
void give_back_memory();

}  // namespace bryo::monitor

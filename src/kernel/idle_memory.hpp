// A process that waits for its next event needs next to none of the memory that its last one needed. What is clean
// comes back from the page cache when it is touched again; what is free is free.
#pragma once

namespace bryo::kernel {

// Lets go of the pages of programs and libraries that this process has mapped and never changed (proc_pid_smaps(5),
// madvise(2) MADV_DONTNEED): they stay in the page cache. Some 1 ms; any thread may call it, at any time.
void release_clean_pages() noexcept;
// The part of the calling thread's stack that lies unused below its current frame; for the main thread only.
void release_unused_stack() noexcept;

}  // namespace bryo::kernel

// What the child tells the launcher, over a SOCK_SEQPACKET pair: one Report a packet, text behind the header, at most
// one descriptor beside it. The last thing is end of file, because both ends are close-on-exec.
//
//   child                                                     launcher
//     (stage {pid}, from the helper stage that joins namespaces)
//     ◀── go {count} + descriptors of the prepared mounts ──
//     ── warning* , terminal + master descriptor ──▶
//     ── mounted ──▶                                          wait_mounted() returns     (only where there are hooks
//     ◀── hooks_done                                          wait_created() goes on      before pivot_root)
//     ── created ──▶                                          wait_created() returns
//     ◀── start (here, or on a connection to the gate)
//     ── listener {number of the descriptor} ──▶             taken with pidfd_getfd, given to the agent
//     ◀── taken                                               (only with a filter that has SCMP_ACT_NOTIFY)
//     ── running ──▶  then end of file: execve has succeeded  start() returns
//     ── failure {errno, exit code} ──▶ at any time, then the child is gone
//
// End of file before `running` is an error of its own: the child was killed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bryo::runtime {

enum class ReportKind : std::uint32_t {
  // child → launcher
  warning = 1,
  failure,
  stage,
  terminal,
  created,
  running,
  listener,
  mounted,
  // launcher → child
  go = 100,
  start,
  taken,
  hooks_done,
};

struct Report {
  static constexpr std::size_t kMaxText = 1000;
  ReportKind kind = ReportKind::failure;
  std::int32_t error = 0;       // errno; pid for stage; number of descriptors in all for go; descriptor for listener
  std::uint32_t exit_code = 0;  // 126, 127 when the program cannot be run: the text is then complete
  std::uint32_t size = 0;       // of the text
  char text[kMaxText] = {};
};
inline constexpr std::size_t kReportHeader = sizeof(Report) - Report::kMaxText;
// Descriptors in one packet; more prepared mounts take more packets.
inline constexpr std::size_t kReportDescriptors = 200;

}  // namespace bryo::runtime

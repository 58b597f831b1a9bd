// The protocol between bryod (hub.hpp) and one bryo-monitor: SOCK_SEQPACKET, one message a packet, descriptors beside
// it (SCM_RIGHTS). A packet has a header and at most kMaxPayload bytes; what may be longer (plans) travels in a memfd.
//
//      bryod                                        monitor                          container's init
//        │ posix_spawn, socketpair as descriptor 3     │
//        ├── launch {request} + memfd, plan fds, ports ─▶│ cgroups, log, pipes, clone3 ──▶│ waits at the gate
//        │◀─ reply created {pid, start time} + netns fd ─┤                               │
//        │   (configures the network)                    │                               │
//        ├── attach {streams} ─────────────────────────▶│                                │
//        │◀─ reply + stream fd ─────────────────────────┤                                │
//        ├── start ────────────────────────────────────▶│ opens the gate ───────────────▶│ execve
//        │◀─ reply started {pid, start time} ───────────┤◀──────────────── close-on-exec │
//        ├── exec, attach, resize, signal, set_ports, remove_ports, reopen_log, status ─▶│
//        │◀─ reply | failure {kind, errno, exit code, text} ────────────────┤             │
//        │◀─ event exec_exit ───────────────────────────┤                                │
//        │◀─ event bypass_lost ─────────────────────────┤ its bypass helper is gone      │
//        ├── use_bypass + link ────────────────────────▶│ (bypass/link.hpp)              │
//        │◀─ event warning {text} ──────────────────────┤ a hook has failed
//        │◀─ event exit {code, oom, time} ──────────────┤◀────────────────────── dies ───│
//        ├── close ────────────────────────────────────▶│ leaves when its streams are empty
//
// A container with hooks: those before the program run between `created` and `started`, poststart before the answer to
// `start`, poststop when the cgroups are gone.
//
// Every request is answered once, in any order, by a reply or a failure with the request's number. Events have number
// 0. Before the gate is open the container belongs to bryod: if the connection ends then, the monitor kills init,
// removes the cgroups and leaves. Afterwards the monitor lives on without bryod; a new bryod connects to control.sock
// in the runtime directory (path socket in a 0700 directory, both sides check SO_PEERCRED: CVE-2020-15257) and begins
// with `status`. A new connection replaces the old one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bryo::monitor {

inline constexpr std::uint32_t kMagic = 0x4d595242;  // "BRYM"
inline constexpr std::uint16_t kProtocolVersion = 1;
inline constexpr std::size_t kMaxPayload = 8 * 1024;
inline constexpr std::size_t kMaxDescriptors = 240;  // SCM_MAX_FD is 253
// The monitor's end of the first connection.
inline constexpr int kControlDescriptor = 3;
inline constexpr std::string_view kControlSocketName = "control.sock";
inline constexpr std::string_view kExitFileName = "exit";

enum class MessageType : std::uint16_t {
  // bryod → monitor
  launch = 1,
  start,
  attach,
  exec,
  resize,
  signal,
  set_ports,
  reopen_log,
  status,
  close,
  remove_ports,
  use_bypass,
  // monitor → bryod
  reply = 100,
  failure,
  exit_event,
  exec_exit_event,
  bypass_lost_event,
  warning_event,
};

struct MessageHeader {
  std::uint32_t magic = kMagic;
  std::uint16_t version = kProtocolVersion;
  MessageType type = MessageType::reply;
  std::uint32_t request = 0;  // number of the request, chosen by bryod from 1; 0 in events
  std::uint32_t size = 0;     // bytes after the header
};
static_assert(sizeof(MessageHeader) == 16);

// Which request is allowed when: the monitor's view of one container. Pure, no input or output.
class ContainerPhase {
 public:
  enum class Phase : std::uint8_t { fresh, created, running, exited, closed };

  Phase phase() const { return phase_; }
  // May this request be served now?
  bool allows(MessageType request) const;

  // What happened; each returns false (and changes nothing) when it cannot happen in this phase.
  bool created() { return move(Phase::fresh, Phase::created); }
  bool started() { return move(Phase::created, Phase::running); }
  bool exited();
  bool closed();

 private:
  bool move(Phase from, Phase to);

  Phase phase_ = Phase::fresh;
};

std::string_view to_string(MessageType type);
std::string_view to_string(ContainerPhase::Phase phase);

}  // namespace bryo::monitor

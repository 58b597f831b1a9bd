// What bryod asks of a monitor and what it hears back. Plain structs, used on the client side (hub.hpp).
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "base/unique_fd.hpp"
#include "kernel/cgroup_limits.hpp"
#include "runtime/launch_hooks.hpp"

namespace bryo::monitor {

struct ExitInfo {
  int code = 0;  // exit status, or 128 + signal
  bool oom_killed = false;
  WallTime finished_at{};
};

struct ConsoleSize {
  std::uint16_t rows = 0;  // 0 = leave the terminal's default
  std::uint16_t columns = 0;
};

enum class LogDriver { none, json_file };

struct LogConfig {
  LogDriver driver = LogDriver::none;
  std::string path;            // absolute, in a directory that only the engine writes; created 0640
  std::int64_t max_size = -1;  // bytes a file; -1 = never rotate
  int max_files = 1;           // with rotation: this many files, the live one included (path, path.1, …)
  std::string attributes;      // ready JSON object text for "attrs" ({"k":"v"}), or empty
};

enum class ForwardProtocol : std::uint8_t { tcp, udp };

// Connections (datagrams) that arrive at `socket` go to target. The engine made the socket: listening (tcp) or bound
// (udp), so a port that is taken is its error to report. A [::] socket may have a v4 target.
struct PortForward {
  ForwardProtocol protocol = ForwardProtocol::tcp;
  UniqueFd socket;
  std::string target_address;  // "172.17.0.2" or "fd00::2", no brackets
  std::uint16_t target_port = 0;
  // For clients of the other family, when the socket takes both; empty: target_address.
  std::string other_target_address;
  // Connect from the client's own address and port, where that is possible (forward_sockets.hpp).
  bool transparent = false;
  // Of the packets of such connections (SO_MARK, socket(7)): by this the namespace's routes bring the answers back. 0:
  // none.
  std::uint32_t mark = 0;
  // Connect from this address where the client's cannot be had; empty: the kernel's choice.
  std::string stand_in_source;
};

// A forward's socket by what it is bound to.
struct PortName {
  ForwardProtocol protocol = ForwardProtocol::tcp;
  std::string address;  // "0.0.0.0", "::", "192.0.2.7"
  std::uint16_t port = 0;
};

// What the OCI runtime specification knows a container by: a directory with its config.json, which hooks read. Made by
// the engine, mode 0700, for containers that have hooks or something of their own to be removed; the monitor removes
// it.
struct Bundle {
  std::string path;
  std::string state;  // the JSON object that hooks read, without status, pid and the closing brace
  runtime::HookSet hooks;
  // The first directory on the way to `path` that the container's root (as the host counts) may not enter; empty: it
  // can go there.
  std::string cover;
  std::uint32_t root_uid = 0;
  std::uint32_t root_gid = 0;
  std::vector<std::string> resctrl;  // directories to be removed afterwards (kernel/resctrl.hpp)
};
// In a bundle: the configuration, locked by the monitor as long as it is there; where hooks find the root file system;
// a mark: the container's first process was made.
inline constexpr std::string_view kBundleConfig = "config.json";
inline constexpr std::string_view kBundleRoot = "rootfs";
inline constexpr std::string_view kBundleBegun = "begun";

struct StartRequest {
  std::string container_id;
  std::string runtime_directory;           // exists, 0700, ours; holds control.sock and exit
  std::vector<std::byte> plan;             // serialized runtime::LaunchPlan
  std::vector<UniqueFd> plan_descriptors;  // what the plan refers to, in its order
  std::string cgroup_path;                 // "/bryo/<id>"; empty = stay where bryod is
  kernel::CgroupLimits cgroup_limits;
  bool terminal = false;
  bool open_stdin = false;  // false: /dev/null
  bool stdin_once = false;  // the first client that ends its stdin ends the container's
  LogConfig log;
  std::vector<PortForward> ports;
  ConsoleSize console_size;
  bool wait_for_network = true;  // bryod configures the network namespace before start()
  std::optional<Bundle> bundle;
  UniqueFd bypass;  // our end of the link to the container's helper (bypass/link.hpp); may be empty
};

struct Started {
  pid_t pid = 0;  // as the host sees it
  // Field 22 of /proc/<pid>/stat: with the pid it names one process for ever.
  std::uint64_t start_time = 0;
  // What could not be done as asked (runtime::Container::warnings); of start() only.
  std::vector<std::string> warnings;
};

// Which streams a client wants. For a terminal, output is one raw stream: ask for stdout.
struct AttachRequest {
  bool stdin_stream = false;
  bool stdout_stream = true;
  bool stderr_stream = true;
};

struct ExecRequest {
  std::string exec_id;
  std::vector<std::byte> plan;  // serialized runtime::ExecPlan
  std::vector<UniqueFd> plan_descriptors;
  bool terminal = false;
  AttachRequest attach;  // all false = detached: input and output are /dev/null
  ConsoleSize console_size;
};

struct ExecStarted {
  pid_t pid = 0;
  std::uint64_t start_time = 0;  // with the pid it names one process for ever
  std::vector<std::string> warnings;
  UniqueFd stream;  // as Monitor::attach gives; empty when detached
};

// What a monitor says about its container when bryod comes (back).
struct MonitorStatus {
  Started process;
  bool started = false;
  std::optional<ExitInfo> exit;
  std::vector<std::string> running_execs;
  std::uint64_t log_lines_dropped = 0;  // disk full and the like, since the start
};

}  // namespace bryo::monitor

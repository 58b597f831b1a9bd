// The payloads of the control protocol (protocol.hpp says which goes where). Descriptors travel beside them, in the
// order that each comment gives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kernel/cgroup_limits.hpp"
#include "monitor/types.hpp"
#include "monitor/wire.hpp"

namespace bryo::monitor {

// Descriptors: a memfd with these bytes, then those that the plan refers to, then the link to the bypass helper.
struct LaunchMessage {
  std::string container_id;
  std::string runtime_directory;
  std::vector<std::byte> plan;
  // Where the hierarchies are (kernel::CgroupLayout): bryod has looked once for all.
  std::map<std::string, std::string> cgroup_hierarchies;
  std::string cgroup_unified;
  std::string cgroup_path;
  kernel::CgroupLimits cgroup_limits;
  bool terminal = false;
  bool open_stdin = false;
  bool stdin_once = false;
  LogConfig log;
  ConsoleSize console_size;
  bool wait_for_network = false;
  bool bypass = false;
  std::optional<Bundle> bundle;
};

// Descriptor: the network namespace, when the request waits for it.
struct CreatedMessage {
  std::int32_t pid = 0;
  std::uint64_t start_time = 0;
};

struct StartedMessage {
  std::int32_t pid = 0;
  std::uint64_t start_time = 0;
  std::vector<std::string> warnings;
};

// Reply's descriptor: the stream.
struct AttachMessage {
  bool stdin_stream = false;
  bool stdout_stream = false;
  bool stderr_stream = false;
};

// Descriptors: a memfd with these bytes, then those that the plan refers to. Reply: StartedMessage, with the stream as
// descriptor unless it is detached.
struct ExecMessage {
  std::string exec_id;
  std::vector<std::byte> plan;
  bool terminal = false;
  AttachMessage attach;
  ConsoleSize console_size;
};

struct ResizeMessage {
  std::string exec_id;
  ConsoleSize size;
};

struct SignalMessage {
  std::int32_t number = 0;
};

// Descriptors: one socket for each forward. More forwards than a packet has room for come in several messages.
struct SetPortsMessage {
  struct Forward {
    ForwardProtocol protocol = ForwardProtocol::tcp;
    std::string target_address;
    std::uint16_t target_port = 0;
    std::string other_target_address;
    bool transparent = false;
  };
  bool replace = false;  // forget the forwards so far
  std::vector<Forward> forwards;
};

// Descriptor: a memfd with these bytes.
struct RemovePortsMessage {
  bool others = false;  // remove all but these
  std::vector<PortName> ports;
};

struct ExitMessage {
  std::int32_t code = 0;
  bool oom_killed = false;
  std::int64_t finished_at = 0;  // nanoseconds since the epoch
};

struct ExecExitMessage {
  std::string exec_id;
  std::int32_t code = 0;
};

struct StatusMessage {
  std::int32_t pid = 0;
  std::uint64_t start_time = 0;
  bool started = false;
  std::optional<ExitMessage> exit;
  std::vector<std::string> running_execs;
  std::uint64_t log_lines_dropped = 0;
};

struct WarningMessage {
  std::string text;
};

struct FailureMessage {
  std::uint8_t kind = 0;  // ErrorKind
  std::int32_t number = 0;
  std::int32_t exit_code = 0;
  std::string text;
};

// A packet is bounded; the first warnings say most.
std::vector<std::string> bounded_warnings(std::vector<std::string> warnings);

FailureMessage to_failure(const Error& error);
Error to_error(const FailureMessage& failure);

ExitInfo to_exit_info(const ExitMessage& message);
ExitMessage to_exit_message(const ExitInfo& info);

template <typename A>
void describe(A& a, ConsoleSize& v) {
  a(v.rows, v.columns);
}
template <typename A>
void describe(A& a, LogConfig& v) {
  a(v.driver, v.path, v.max_size, v.max_files, v.attributes);
}
template <typename A>
void describe(A& a, Bundle& v) {
  a(v.path, v.state, v.hooks, v.cover, v.root_uid, v.root_gid, v.resctrl);
}
template <typename A>
void describe(A& a, WarningMessage& v) {
  a(v.text);
}
template <typename A>
void describe(A& a, LaunchMessage& v) {
  a(v.container_id, v.runtime_directory, v.plan, v.cgroup_hierarchies, v.cgroup_unified, v.cgroup_path, v.cgroup_limits,
    v.terminal, v.open_stdin, v.stdin_once, v.log, v.console_size, v.wait_for_network, v.bypass, v.bundle);
}
template <typename A>
void describe(A& a, CreatedMessage& v) {
  a(v.pid, v.start_time);
}
template <typename A>
void describe(A& a, StartedMessage& v) {
  a(v.pid, v.start_time, v.warnings);
}
template <typename A>
void describe(A& a, AttachMessage& v) {
  a(v.stdin_stream, v.stdout_stream, v.stderr_stream);
}
template <typename A>
void describe(A& a, ExecMessage& v) {
  a(v.exec_id, v.plan, v.terminal, v.attach, v.console_size);
}
template <typename A>
void describe(A& a, ResizeMessage& v) {
  a(v.exec_id, v.size);
}
template <typename A>
void describe(A& a, SignalMessage& v) {
  a(v.number);
}
template <typename A>
void describe(A& a, SetPortsMessage::Forward& v) {
  a(v.protocol, v.target_address, v.target_port, v.other_target_address, v.transparent);
}
template <typename A>
void describe(A& a, SetPortsMessage& v) {
  a(v.replace, v.forwards);
}
template <typename A>
void describe(A& a, PortName& v) {
  a(v.protocol, v.address, v.port);
}
template <typename A>
void describe(A& a, RemovePortsMessage& v) {
  a(v.others, v.ports);
}
template <typename A>
void describe(A& a, ExitMessage& v) {
  a(v.code, v.oom_killed, v.finished_at);
}
template <typename A>
void describe(A& a, ExecExitMessage& v) {
  a(v.exec_id, v.code);
}
template <typename A>
void describe(A& a, StatusMessage& v) {
  a(v.pid, v.start_time, v.started, v.exit, v.running_execs, v.log_lines_dropped);
}
template <typename A>
void describe(A& a, FailureMessage& v) {
  a(v.kind, v.number, v.exit_code, v.text);
}

}  // namespace bryo::monitor

// In their own namespaces, where wire.hpp finds them.
namespace bryo::runtime {

template <typename A>
void describe(A& a, HookProgram& v) {
  a(v.path, v.arguments, v.environment, v.timeout);
}
template <typename A>
void describe(A& a, HookSet& v) {
  a(v.prestart, v.create_runtime, v.create_container, v.start_container, v.poststart, v.poststop);
}

}  // namespace bryo::runtime

namespace bryo::kernel {

template <typename A>
void describe(A& a, CgroupDeviceRule& v) {
  a(v.allow, v.type, v.major, v.minor, v.access);
}
template <typename A>
void describe(A& a, CgroupDeviceRate& v) {
  a(v.major, v.minor, v.value);
}
template <typename A>
void describe(A& a, CgroupHugepages& v) {
  a(v.page_size, v.limit);
}
template <typename A>
void describe(A& a, CgroupLimits& v) {
  a(v.memory, v.memory_swap, v.memory_reservation, v.kernel_memory, v.kernel_memory_tcp, v.memory_swappiness,
    v.oom_kill_disable, v.cpu_shares, v.cpu_quota, v.cpu_period, v.cpu_burst, v.cpu_idle, v.cpu_rt_runtime,
    v.cpu_rt_period, v.cpuset_cpus, v.cpuset_mems, v.pids_max, v.io_weight, v.io_weight_device, v.io_read_bps,
    v.io_write_bps, v.io_read_iops, v.io_write_iops, v.devices, v.hugepages, v.unified);
}

}  // namespace bryo::kernel

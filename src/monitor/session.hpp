// The monitor's view of its container, from launch to teardown: answers bryod's requests, reaps, reports, cleans up.
//
//   fresh ──launch──▶ created ──start──▶ running ──init dies──▶ exited ──close, or nobody there──▶ closed
//                        └── launch fails, close, connection ends ─────────────────────────────────▶
//
// Leaving: when the container is over, bryod has acknowledged (or is not there), the cgroups are gone and every
// attached client has got its output.
#pragma once

#include <signal.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernel/cgroups.hpp"
#include "monitor/bundle_keeper.hpp"
#include "monitor/bypass_standby.hpp"
#include "monitor/control_server.hpp"
#include "monitor/event_loop.hpp"
#include "monitor/forward.hpp"
#include "monitor/launcher.hpp"
#include "monitor/log_writer.hpp"
#include "monitor/messages.hpp"
#include "monitor/process_streams.hpp"
#include "monitor/protocol.hpp"

namespace bryo::monitor {

class Session final : ControlHandler, EventHandler {
 public:
  // `children`: a signalfd for SIGCHLD, which is blocked in this process.
  Session(EventLoop& loop, Launcher& launcher, UniqueFd connection, UniqueFd children);
  ~Session();

 private:
  struct Exec {
    pid_t pid = 0;
    std::unique_ptr<ProcessStreams> streams;
    std::optional<int> code;
    bool reported = false;
  };

  // ControlHandler
  Answer on_request(MessageType type, Packet& packet) override;
  void on_answered(MessageType type) override;
  void on_disconnected() override;
  // EventHandler: SIGCHLD.
  void on_events(std::uint32_t events) override;

  Answer launch(Packet& packet);
  void stand_by_for_bypass(UniqueFd link);
  void make_cgroup(const LaunchMessage& request);
  runtime::CgroupPlacement placement() const;
  void finish_launch();
  Answer start(const Packet& packet);
  Answer run_poststart(const Packet& packet);
  Answer attach(Packet& packet);
  Answer exec(Packet& packet);
  Answer resize(const ResizeMessage& request);
  Answer signal(const SignalMessage& request);
  Answer set_ports(Packet& packet);
  Answer remove_ports(const RemovePortsMessage& request);
  Answer use_bypass(Packet& packet);
  Answer status();
  void close();

  void reap();
  void on_child(const siginfo_t& end);
  void init_died(int code);
  void report_exit();
  void report_exec(const std::string& id);
  void send_exec_exit(const std::string& id, int code);
  void send_what_was_missed();
  // The container is over: nothing of it may be left.
  void tear_down();
  void try_remove_cgroup();
  void run_poststop();
  void remove_bundle();
  void kill_init();
  void sweep_execs();
  void leave_if_done();

  EventLoop& loop_;
  Launcher& launcher_;
  UniqueFd children_;
  ControlServer control_;
  ContainerPhase phase_;

  std::string container_id_;
  std::string runtime_directory_;
  ConsoleSize console_size_;
  pid_t init_ = 0;
  std::uint64_t init_start_time_ = 0;
  std::optional<Error> launch_error_;
  // What the plan refers to, until init is at the gate.
  std::vector<UniqueFd> plan_descriptors_;
  std::optional<ExitInfo> exit_;
  std::optional<kernel::ContainerCgroup> cgroup_;
  std::vector<UniqueFd> cgroup_procs_;  // version 1: one of each hierarchy
  UniqueFd cgroup_directory_;           // version 2
  // Held until the exit is reported: else the dying init would take all mounts apart before we hear of it.
  UniqueFd mount_namespace_;
  std::unique_ptr<LogWriter> log_;
  std::unique_ptr<ProcessStreams> streams_;
  Forwards forwards_;
  std::unique_ptr<BypassStandby> bypass_;
  std::unique_ptr<BundleKeeper> bundle_;
  std::unique_ptr<HookSequence> poststart_;
  std::unique_ptr<HookSequence> poststop_;
  bool exit_waits_ = false;  // for the poststart hooks: bryod hears of the start first
  std::map<std::string, Exec> execs_;
  std::vector<ExecExitMessage> missed_;
  bool acknowledged_ = false;
  bool torn_down_ = false;
  EventLoop::Clock::time_point removal_deadline_{};
  std::chrono::milliseconds removal_pause_{1};
  Timer removal_;
  Timer sweep_;
};

}  // namespace bryo::monitor

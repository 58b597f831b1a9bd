// The engine's side of the monitors: start one for a container, find it again after a restart of bryod, ask it things,
// hear of exits. One thread (the hub's) serves all control connections; every public function may be called from any
// thread, blocks for at most its deadline and throws Error. Messages and their order: protocol.hpp.
//
// A monitor belongs to no bryod: destroying the hub or killing bryod leaves containers, logs and forwards running.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "kernel/cgroups.hpp"
#include "monitor/types.hpp"

namespace bryo::monitor {

// Called on the hub's thread: hand the news on and return, never block, never call back into a Monitor.
class MonitorListener {
 public:
  virtual ~MonitorListener() = default;
  // The container's init is gone and its log is complete. Exactly once for each spawn or reconnect that lives so long.
  virtual void on_exit(const std::string& container_id, const ExitInfo& info) = 0;
  virtual void on_exec_exit(const std::string& container_id, const std::string& exec_id, int code) = 0;
  // The monitor went away without reporting an exit (killed, crashed): nobody watches the container any more.
  virtual void on_lost(const std::string& container_id, const std::string& reason) = 0;
  // The helper of its bypass has gone: until there is another (Monitor::use_bypass), its connections take the usual
  // way. Told again after a while.
  virtual void on_bypass_lost(const std::string& /*container_id*/) {}
  // Something that ends nothing has failed: a poststop hook.
  virtual void on_warning(const std::string& /*container_id*/, const std::string& /*text*/) {}
};

// The bryo-monitor program as a sealed memfd, made once per bryod: no container can reach a file on disk through
// /proc/<pid>/exe (CVE-2019-5736), and an upgrade of the package does not disturb.
class MonitorProgram {
 public:
  // Copies the program; throws Error{not_found} naming the path.
  explicit MonitorProgram(const std::string& path);
  // "bryo-monitor" in the directory of the running program.
  static MonitorProgram beside_this_program();

  int descriptor() const { return memory_.get(); }

 private:
  UniqueFd memory_;
};

class MonitorConnection;

// One container's monitor. Kept alive by its holder; dropping it only closes the connection.
class Monitor {
 public:
  explicit Monitor(std::shared_ptr<MonitorConnection> connection);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  const std::string& container_id() const;

  // The container's network namespace, as soon as its init exists and waits at the gate. Throws what the launch failed
  // with. Empty when the request did not wait for the network.
  UniqueFd network_namespace();
  // Opens the gate and waits for execve. A command that cannot run throws Error with exit_code() 126 or 127.
  Started start();

  // A stream socket that carries what Docker's attach body carries: output raw for a terminal, else frames with 8-byte
  // headers; input as it is. shutdown(SHUT_WR) ends stdin, end-of-file means that the process's output has ended.
  // Attach before start() and no byte is missed. Every stream is lossless: one that is not read holds up the container
  // when its buffers (socket, 64 KiB) and the container's pipe are full; one that is closed is forgotten at once.
  UniqueFd attach(const AttachRequest& request);
  // The same over the caller's own stream socket, which the monitor takes: for a client that attached before there was
  // a monitor.
  void attach_to(const AttachRequest& request, UniqueFd socket);
  // Throws Error with exit_code() 126 or 127 when the command cannot run.
  ExecStarted exec(ExecRequest request);
  // exec_id empty: the container's own terminal.
  void resize(const std::string& exec_id, ConsoleSize size);
  // To the container's init, through its pidfd. Error{not_found} when it is gone.
  void signal(int number);
  // Replaces all forwards; connections that are open go on.
  void set_ports(std::vector<PortForward> ports);
  // In addition to what is forwarded already.
  void add_ports(std::vector<PortForward> ports);
  // Closes their sockets; TCP connections that are open go on. Unknown ones are ignored.
  void remove_ports(std::vector<PortName> ports);
  // Removes all others: after a restart of bryod, those that were added and not remembered.
  void keep_ports(std::vector<PortName> ports);
  // The link to another helper (MonitorHub::start_bypass), which gets its listeners from the monitor. Error{conflict}
  // when it has one.
  void use_bypass(UniqueFd link);
  // After somebody else moved the log file.
  void reopen_log();
  MonitorStatus status();

  // Acknowledges the exit: the monitor may leave. Also the way to give up a container that was never started: its init
  // is killed. Does not wait; no other call afterwards.
  void close();

 private:
  std::shared_ptr<MonitorConnection> connection_;
};

class MonitorHub {
 public:
  // The listener outlives the hub. `cgroups`: where containers get theirs.
  MonitorHub(MonitorProgram program, MonitorListener& listener,
             kernel::CgroupLayout cgroups = kernel::CgroupLayout::detect());
  ~MonitorHub();
  MonitorHub(const MonitorHub&) = delete;
  MonitorHub& operator=(const MonitorHub&) = delete;

  // Starts a monitor and sends it the request; the launch goes on meanwhile (network_namespace() or start() wait).
  std::shared_ptr<Monitor> spawn(StartRequest request);
  // The helper of a container with a bypass, in the calling thread's network namespace; `link` is its end.
  void start_bypass(const std::string& container_id, UniqueFd link);
  // After a restart of bryod. nullptr when there is no monitor: read_exit() then tells how the container ended, or
  // nothing does (it never started, or the machine went down). Error{conflict} when there is one that does not answer:
  // its container may well run.
  std::shared_ptr<Monitor> reconnect(const std::string& container_id, const std::string& runtime_directory,
                                     std::chrono::seconds patience = std::chrono::seconds(10));
  static std::optional<ExitInfo> read_exit(const std::string& runtime_directory);
  // Error{conflict} when the last run still has its monitor, which this hub does not know (reconnect() had no answer):
  // before its directory is made anew.
  void check_over(const std::string& container_id, const std::string& runtime_directory);

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace bryo::monitor

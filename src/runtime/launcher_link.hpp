// The launcher's side of the conversation with its child (child_report.hpp), and the child as a process: it is killed
// and reaped when the conversation ends badly.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "runtime/child_report.hpp"

namespace bryo::runtime {

struct ReceivedReport {
  ReportKind kind = ReportKind::failure;
  int error = 0;
  int exit_code = 0;
  std::string text;
  UniqueFd descriptor;
};

// Both ends close-on-exec.
struct LinkPair {
  LinkPair();
  UniqueFd launcher;
  UniqueFd child;
};

// nullopt at end of file.
std::optional<ReceivedReport> receive_report(int socket);
// False when the child is gone.
bool send_report(int socket, ReportKind kind, int number = 0, std::span<const int> descriptors = {});
// "step: reason", or the complete text with its exit code (126, 127).
Error to_error(const ReceivedReport& report);
std::string to_warning(const ReceivedReport& report);

// The child's descriptor of this number, for the agent; the child goes on when the handler has returned.
void take_listener(int socket, pid_t pid, int number, const std::function<void(UniqueFd, pid_t)>& handler);

// A child that is not the caller's yet: killed and reaped unless released.
class ChildProcess {
 public:
  ChildProcess() = default;
  ChildProcess(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  ~ChildProcess() { kill_and_reap(); }
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  // From here on the caller reaps it.
  void release() { owned_ = false; }
  void reclaim() { owned_ = true; }
  UniqueFd take_pidfd() { return std::move(pidfd_); }
  void kill_and_reap() noexcept;
  // Waits for its end (helper stages).
  void reap() noexcept;

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  bool owned_ = true;
};

}  // namespace bryo::runtime

#include "monitor/protocol.hpp"

namespace bryo::monitor {

bool ContainerPhase::allows(MessageType request) const {
  switch (request) {
    case MessageType::launch:
      return phase_ == Phase::fresh;
    case MessageType::start:
      return phase_ == Phase::created;
    case MessageType::attach:
    case MessageType::resize:
    case MessageType::set_ports:
    case MessageType::remove_ports:
    case MessageType::use_bypass:
      return phase_ == Phase::created || phase_ == Phase::running;
    case MessageType::signal:
      // Too late is not_found, whoever was faster.
      return phase_ == Phase::created || phase_ == Phase::running || phase_ == Phase::exited;
    case MessageType::exec:
      return phase_ == Phase::running;
    case MessageType::reopen_log:
      return phase_ != Phase::fresh && phase_ != Phase::closed;
    case MessageType::close:
      return phase_ != Phase::closed;
    case MessageType::status:
      return phase_ != Phase::fresh;
    default:
      return false;  // what the monitor itself sends
  }
}

bool ContainerPhase::exited() { return move(Phase::running, Phase::exited) || move(Phase::created, Phase::exited); }

bool ContainerPhase::closed() {
  if (phase_ == Phase::closed) return false;
  phase_ = Phase::closed;
  return true;
}

bool ContainerPhase::move(Phase from, Phase to) {
  if (phase_ != from) return false;
  phase_ = to;
  return true;
}

std::string_view to_string(MessageType type) {
  switch (type) {
    case MessageType::launch:
      return "launch";
    case MessageType::start:
      return "start";
    case MessageType::attach:
      return "attach";
    case MessageType::exec:
      return "exec";
    case MessageType::resize:
      return "resize";
    case MessageType::signal:
      return "signal";
    case MessageType::set_ports:
      return "set_ports";
    case MessageType::remove_ports:
      return "remove_ports";
    case MessageType::use_bypass:
      return "use_bypass";
    case MessageType::reopen_log:
      return "reopen_log";
    case MessageType::status:
      return "status";
    case MessageType::close:
      return "close";
    case MessageType::reply:
      return "reply";
    case MessageType::failure:
      return "failure";
    case MessageType::exit_event:
      return "exit_event";
    case MessageType::exec_exit_event:
      return "exec_exit_event";
    case MessageType::warning_event:
      return "warning_event";
    case MessageType::bypass_lost_event:
      return "bypass_lost_event";
  }
  return "unknown";
}

std::string_view to_string(ContainerPhase::Phase phase) {
  switch (phase) {
    case ContainerPhase::Phase::fresh:
      return "not launched";
    case ContainerPhase::Phase::created:
      return "created";
    case ContainerPhase::Phase::running:
      return "running";
    case ContainerPhase::Phase::exited:
      return "exited";
    case ContainerPhase::Phase::closed:
      return "closed";
  }
  return "unknown";
}

}  // namespace bryo::monitor

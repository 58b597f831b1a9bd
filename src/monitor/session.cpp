// Session, the part that follows the container: who has died, what is told, when everything is cleared away. The
// requests are in session_requests.cpp.
#include "monitor/session.hpp"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "kernel/process.hpp"
#include "kernel/processes.hpp"
#include "monitor/exit_file.hpp"
#include "monitor/own_process.hpp"

namespace bryo::monitor {
namespace {

constexpr std::chrono::seconds kQuiet{2};
constexpr std::chrono::seconds kRemovalPatience{10};
constexpr std::chrono::milliseconds kLongestRemovalPause{100};
constexpr std::size_t kMaxMissed = 256;

}  // namespace

Session::Session(EventLoop& loop, Launcher& launcher, UniqueFd connection, UniqueFd children)
    : loop_(loop),
      launcher_(launcher),
      children_(std::move(children)),
      control_(loop, std::move(connection), *this),
      forwards_(loop),
      removal_(loop, [this] { try_remove_cgroup(); }),
      sweep_(loop, [this] { sweep_execs(); }) {
  loop_.add(children_.get(), EPOLLIN, *this);
  loop_.when_quiet(kQuiet, [this] {
    if (log_) log_->release_memory();
    OutputPump::release_memory();
    give_back_memory();
  });
}

Session::~Session() { loop_.remove(children_.get(), *this); }

void Session::close() {
  acknowledged_ = true;
  if (phase_.phase() == ContainerPhase::Phase::created) {
    kill_init();
    if (init_ == 0) tear_down();
  }
  if (phase_.phase() == ContainerPhase::Phase::fresh) tear_down();
  leave_if_done();
}

void Session::on_disconnected() {
  // Before the gate is open nobody but that bryod knows of the container.
  if (phase_.phase() == ContainerPhase::Phase::created || phase_.phase() == ContainerPhase::Phase::fresh) close();
  leave_if_done();
}

void Session::on_events(std::uint32_t) {
  signalfd_siginfo info;
  while (::read(children_.get(), &info, sizeof info) > 0) {
  }
  reap();
}

void Session::reap() {
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0) {
    on_child(info);
    info.si_pid = 0;
  }
}

void Session::on_child(const siginfo_t& end) {
  for (HookSequence* hooks : {poststart_.get(), poststop_.get()})
    if (hooks != nullptr && hooks->on_child(end)) return;
  const pid_t pid = end.si_pid;
  const int code = end.si_code == CLD_EXITED ? end.si_status : 128 + end.si_status;
  if (pid == init_) {
    init_died(code);
    return;
  }
  for (auto& [id, exec] : execs_) {
    if (exec.pid != pid || exec.code) continue;
    exec.code = code;
    exec.streams->process_ended();
    return;
  }
}

void Session::init_died(int code) {
  init_ = 0;
  ExitInfo info{code, false, wall_now()};
  if (cgroup_) {
    info.oom_killed = cgroup_->oom_kills() > 0;
    // Whoever is left (no pid namespace of its own, or an exec) goes with it, and lets go of its streams.
    if (!cgroup_->pids().empty()) cgroup_->kill_all();
  } else if (!poststart_ || poststart_->over()) {
    kernel::kill_descendants();
  }
  exit_ = info;
  streams_->process_ended();
}

// Called by the streams: all output has been taken, the log is complete.
void Session::report_exit() {
  if (!exit_) return;  // it never ran
  if (poststart_ && !poststart_->over()) {
    exit_waits_ = true;
    return;
  }
  const bool ran = phase_.phase() == ContainerPhase::Phase::running;
  phase_.exited();
  forwards_.clear();
  // Answer first: who is connected need not wait for the file, and who is not finds it or us.
  control_.send_event(MessageType::exit_event, to_wire(to_exit_message(*exit_)));
  if (ran) {
    try {
      write_exit_file(runtime_directory_, *exit_);
    } catch (const Error&) {
      // Somebody removed the directory, or the disk is full: who connects hears it all the same.
    }
  }
  tear_down();
}

void Session::report_exec(const std::string& id) {
  Exec& exec = execs_.at(id);
  exec.reported = true;
  send_exec_exit(id, exec.code.value_or(0));
  sweep_.arm(std::chrono::milliseconds(0));
}

void Session::send_exec_exit(const std::string& id, int code) {
  const ExecExitMessage message{id, code};
  if (control_.connected())
    control_.send_event(MessageType::exec_exit_event, to_wire(message));
  else if (missed_.size() < kMaxMissed)
    missed_.push_back(message);
}

void Session::send_what_was_missed() {
  for (const ExecExitMessage& message : missed_) control_.send_event(MessageType::exec_exit_event, to_wire(message));
  missed_.clear();
  if (exit_ && phase_.phase() == ContainerPhase::Phase::exited)
    control_.send_event(MessageType::exit_event, to_wire(to_exit_message(*exit_)));
}

void Session::kill_init() {
  if (init_ != 0) kernel::send_signal(launcher_.pidfd(), SIGKILL);
}

void Session::tear_down() {
  forwards_.clear();
  mount_namespace_.reset();
  removal_deadline_ = EventLoop::Clock::now() + kRemovalPatience;
  removal_.arm(std::chrono::milliseconds(0));
}

void Session::try_remove_cgroup() {
  if (cgroup_ && !cgroup_->remove() && EventLoop::Clock::now() < removal_deadline_) {
    cgroup_->kill_all();
    removal_.arm(removal_pause_);
    removal_pause_ = std::min(removal_pause_ * 2, kLongestRemovalPause);
    return;
  }
  cgroup_.reset();
  run_poststop();
}

void Session::run_poststop() {
  if (poststop_ && !poststop_->over()) return;
  if (!bundle_ || !bundle_->has_begun()) return remove_bundle();
  poststop_ = std::make_unique<HookSequence>(loop_, bundle_->poststop(), [this](const auto& failures) {
    for (const std::string& text : bounded_warnings(failures))
      control_.send_event(MessageType::warning_event, to_wire(WarningMessage{text}));
    remove_bundle();
  });
  poststop_->begin();
}

void Session::remove_bundle() {
  if (bundle_) {
    try {
      bundle_->remove();
    } catch (const Error& error) {
      control_.send_event(MessageType::warning_event, to_wire(WarningMessage{error.message()}));
    }
    bundle_.reset();
  }
  torn_down_ = true;
  leave_if_done();
}

void Session::sweep_execs() {
  std::erase_if(execs_, [](const auto& item) { return item.second.reported && !item.second.streams->has_clients(); });
  leave_if_done();
}

void Session::leave_if_done() {
  if (!torn_down_) return;
  const bool over = acknowledged_ || !control_.connected();
  // For bryod the end of the connection means: nothing of this container is left, it may start again.
  if (over) control_.shut_down();
  const bool delivered =
      (!streams_ || !streams_->has_clients()) &&
      std::none_of(execs_.begin(), execs_.end(), [](const auto& item) { return item.second.streams->has_clients(); });
  if (over && delivered) loop_.stop();
}

}  // namespace bryo::monitor

#include "rootless/command/parent.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "kernel/child_process.hpp"
#include "monitor/event_loop.hpp"
#include "rootless/command/api_server.hpp"
#include "rootless/command/child.hpp"
#include "rootless/command/command_run.hpp"
#include "rootless/command/evacuate.hpp"
#include "rootless/command/helper.hpp"
#include "rootless/command/link.hpp"
#include "rootless/command/state_directory.hpp"
#include "rootless/user_namespace.hpp"

namespace bryo::rootless::command {
namespace {

constexpr const char* kChild = "the process in the new namespaces";

ids::User own_account() {
  const ids::NssAccounts accounts;
  const auto uid = ::geteuid();
  auto user = accounts.user(uid);
  if (!user) return {std::to_string(uid), uid, ::getegid()};
  user->gid = ::getegid();
  return *user;
}

ids::SubordinateIds id_source(SubidSource source) {
  ids::SubordinateIds::Sources sources;
  sources.library = source == SubidSource::dynamic;
  if (source == SubidSource::fixed) sources.nsswitch = "/dev/null";
  return ids::SubordinateIds(sources);
}

bool listeners_are_ours() {
  const char* pid = std::getenv("LISTEN_PID");
  return pid != nullptr && parse_integer<pid_t>(pid) == ::getpid();
}

class Parent {
 public:
  explicit Parent(const Options& options) : options_(options), state_(options.state_directory) {}
  ~Parent();
  int run();

 private:
  void start_child();
  void connect();
  void publish();
  int wait();

  void on_signal();
  void on_child();
  void on_helper();

  // A descriptor of the event loop and what is done when it is readable.
  class Watch final : public monitor::EventHandler {
   public:
    Watch(monitor::EventLoop& loop, int fd, std::function<void()> action)
        : loop_(loop), fd_(fd), action_(std::move(action)) {
      loop_.add(fd_, EPOLLIN, *this);
    }
    ~Watch() { loop_.remove(fd_, *this); }

   private:
    void on_events(std::uint32_t) override { action_(); }
    monitor::EventLoop& loop_;
    int fd_;
    std::function<void()> action_;
  };

  const Options& options_;
  StateDirectory state_;
  UniqueFd signals_;
  kernel::ChildProcess child_;
  Link link_;
  UniqueFd netns_;
  std::unique_ptr<Helper> helper_;
  std::optional<Ports> ports_;
  monitor::EventLoop loop_;
  std::unique_ptr<Watch> helper_watch_;
  int status_ = 1;
};

Parent::~Parent() {
  link_ = Link();  // a child that is still there ends itself
  while (child_.pid > 0 && ::waitpid(child_.pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (helper_) helper_->stop();
  state_.remove();
}

void Parent::start_child() {
  ChildStart start{options_, state_, Link(), {}, listeners_are_ours(), ::geteuid(), ::getegid()};
  signals_ = kernel::read_signals(forwarded_signals(), &start.original_mask);
  const auto maps = maps_of(own_account(), id_source(options_.subid_source));
  auto [ours, theirs] = Link::make();
  try {
    child_ = kernel::clone_process(birth_namespaces(options_));
  } catch (const Error& error) {
    throw explain_refusal(error);
  }
  if (child_.pid == 0) {
    ours = Link();
    start.parent = std::move(theirs);
    run_child(start);
  }
  link_ = std::move(ours);
  give_maps(maps, child_.pid);
  link_.send("mapped");
  netns_ = link_.expect("standing", kChild).descriptor;
}

void Parent::connect() {
  if (options_.network == NetworkKind::host) return;
  if (options_.network == NetworkKind::none && options_.port_driver == PortDriver::none) return;
  helper_ = std::make_unique<Helper>(options_, state_.network_directory(), child_.pid, netns_.get(), false);
}

void Parent::publish() {
  const bool possible = helper_ && options_.port_driver != PortDriver::none;
  ports_.emplace(possible ? helper_.get() : nullptr);
  for (const PortSpec& spec : options_.publish) ports_->add(spec);
}

int Parent::run() {
  if (options_.network == NetworkKind::user_mode && options_.user_network.host_loopback)
    log::warning(
        "127.0.0.1 of this host is open to the command, at the network's gateway: --disable-host-loopback closes it");
  start_child();
  if (!options_.evacuate_cgroup2.empty()) evacuate_cgroup(options_.evacuate_cgroup2);
  connect();
  link_.send("connected", helper_ ? helper_->network().dns : "");
  link_.expect("prepared", kChild);
  publish();
  state_.write_child_pid(child_.pid);
  return wait();
}

int Parent::wait() {
  Api api(options_, {state_.path(), child_.pid, helper_ ? helper_->network() : NetworkState{}}, *ports_);
  const ApiServer server(loop_, state_.api_socket(), api);
  const Watch signals(loop_, signals_.get(), [this] { on_signal(); });
  const Watch child(loop_, child_.process.get(), [this] { on_child(); });
  if (helper_) helper_watch_ = std::make_unique<Watch>(loop_, helper_->process(), [this] { on_helper(); });
  kernel::adopt_orphans();
  link_.send("run");
  loop_.run();
  helper_watch_.reset();
  return status_;
}

void Parent::on_signal() {
  while (const ReceivedSignal signal = receive_signal(signals_.get()))
    if (signal.from_process) link_.try_send("signal", std::to_string(signal.number));
}

void Parent::on_child() {
  int status = 0;
  if (::waitpid(child_.pid, &status, WNOHANG) != child_.pid) return;
  child_.pid = -1;
  loop_.stop();
  if (WIFEXITED(status)) {
    status_ = WEXITSTATUS(status);
    return;
  }
  status_ = 128 + WTERMSIG(status);
  log::error("{} was ended by signal {}: so is all that it had started", kChild, WTERMSIG(status));
  kernel::end_all_children(helper_ ? helper_->pid() : -1);
}

void Parent::on_helper() {
  helper_watch_.reset();
  helper_->stop();
  log::warning("The network helper ended unexpectedly, and is started again: connections of published ports are lost");
  auto fresh = std::make_unique<Helper>(options_, state_.network_directory(), child_.pid, netns_.get(), true);
  if (options_.port_driver != PortDriver::none) ports_->move_to(*fresh);
  helper_ = std::move(fresh);
  helper_watch_ = std::make_unique<Watch>(loop_, helper_->process(), [this] { on_helper(); });
}

}  // namespace

int run_parent(const Options& options) { return Parent(options).run(); }

}  // namespace bryo::rootless::command

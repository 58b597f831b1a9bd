#include "rootless/command/helper_process.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "kernel/child_process.hpp"
#include "kernel/files.hpp"
#include "kernel/netns.hpp"
#include "kernel/raw.hpp"
#include "kernel/user_namespace.hpp"
#include "monitor/event_loop.hpp"
#include "monitor/forward.hpp"
#include "rootless/command/helper.hpp"
#include "rootless/user_network.hpp"

namespace bryo::rootless::command {
namespace {

constexpr std::chrono::milliseconds kRestartPause{500};

// The user-mode network's process, started again when it ends.
class KeptNetwork final : public monitor::EventHandler {
 public:
  KeptNetwork(monitor::EventLoop& loop, UserNetworkOptions options, int netns, bool again)
      : loop_(loop), options_(std::move(options)), netns_(netns), retry_(loop, [this] { restart(); }) {
    network_ = UserNetwork::adopt(options_.state_directory);
    if (network_ && !again) {  // left by a bryo-rootless that was killed with all its processes but this one
      network_->stop();
      network_.reset();
    }
    if (!network_) network_ = UserNetwork::start(options_, netns_, outside_);
    loop_.add(network_->process(), EPOLLIN, *this);
  }
  const UserNetworkFacts& facts() const { return network_->facts(); }
  void stop() {
    if (network_) network_->stop();
  }

 private:
  void on_events(std::uint32_t) override {
    loop_.remove(network_->process(), *this);
    network_.reset();
    restart();
  }
  void restart() {
    try {
      network_ = UserNetwork::start(options_, netns_, outside_);
      loop_.add(network_->process(), EPOLLIN, *this);
      log::warning("The user-mode network's process ended, and has been started again: open connections are lost");
    } catch (const Error& error) {
      log::error("The user-mode network's process ended, and starting it again failed: {}", error.message());
      retry_.arm(kRestartPause);
    }
  }

  monitor::EventLoop& loop_;
  UserNetworkOptions options_;
  int netns_;
  kernel::NetnsThread outside_;  // the host's: made before the main thread goes inside
  std::optional<UserNetwork> network_;
  monitor::Timer retry_;
};

class HelperProcess final : public monitor::EventHandler {
 public:
  explicit HelperProcess(const HelperStart& start) : start_(start) {}
  void run();

 private:
  void on_events(std::uint32_t) override;
  void answer(const Message& message);
  void add(const Message& message);

  const HelperStart& start_;
  monitor::EventLoop loop_;
  std::unique_ptr<KeptNetwork> network_;
  std::map<int, std::vector<std::unique_ptr<monitor::Forwards>>> forwards_;  // by port
};

void HelperProcess::run() {
  kernel::join_user_namespace(start_.user_namespace);
  kernel::allow_inspection();
  // The host's files, but a namespace where the network's processes may mount for their confinement.
  kernel::enter_new_mount_namespace(MS_SLAVE);
  NetworkState state;
  if (start_.options.network == NetworkKind::user_mode) {
    UserNetworkOptions options = start_.options.user_network;
    options.state_directory = start_.network_directory;
    kernel::try_make_directory(AT_FDCWD, options.state_directory, 0700);
    network_ = std::make_unique<KeptNetwork>(loop_, std::move(options), start_.netns, start_.again);
    state = {network_->facts().dns, network_->facts().address};
  }
  if (const int result = kernel::raw::setns(start_.netns, CLONE_NEWNET); result < 0)
    throw Error::from_errno(-result, "enter the command's network namespace (setns)");
  start_.parent.send("network", json::serialize(json::encode(state)));
  loop_.add(start_.parent.socket(), EPOLLIN, *this);
  loop_.run();
  if (network_) network_->stop();
}

void HelperProcess::on_events(std::uint32_t) {
  const auto message = start_.parent.receive();
  if (!message) {
    loop_.stop();
    return;
  }
  try {
    answer(*message);
    start_.parent.try_send("done");
  } catch (const Error& error) {
    start_.parent.try_send("error", error.message());
  }
}

void HelperProcess::answer(const Message& message) {
  if (message.word == "add") return add(message);
  if (message.word != "remove") fail(ErrorKind::internal, "unknown word \"{}\"", printable(message.word, 40));
  forwards_.erase(parse_integer<int>(message.text).value_or(0));
}

void HelperProcess::add(const Message& message) {
  const auto wanted = json::decode<Forward>(json::parse(message.text));
  auto made = std::make_unique<monitor::Forwards>(loop_);
  monitor::PortForward forward;
  forward.protocol = wanted.tcp ? monitor::ForwardProtocol::tcp : monitor::ForwardProtocol::udp;
  forward.socket.reset(kernel::raw::duplicate(message.descriptor.get(), 3));
  forward.target_address = wanted.address;
  forward.target_port = wanted.port;
  made->add(std::move(forward));
  forwards_[wanted.id].push_back(std::move(made));
}

// What the parent had open stays the parent's: its end must be seen, and its ports must be free after it.
void close_all_but(std::vector<int> kept) {
  std::sort(kept.begin(), kept.end());
  unsigned first = 3;
  for (const int fd : kept) {
    const auto number = static_cast<unsigned>(fd);
    if (number > first) kernel::raw::close_range(first, number - 1, 0);
    first = number + 1;
  }
  kernel::raw::close_range(first, ~0U, 0);
}

}  // namespace

void run_helper(const HelperStart& start) {
  int status = 0;
  try {
    ::setsid();
    ::signal(SIGPIPE, SIG_IGN);
    close_all_but({start.user_namespace, start.netns, start.parent.socket()});
    HelperProcess(start).run();
  } catch (const std::exception& error) {
    start.parent.try_send("error", error.what());
    status = 1;
  }
  ::_exit(status);
}

}  // namespace bryo::rootless::command

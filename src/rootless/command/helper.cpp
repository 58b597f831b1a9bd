#include "rootless/command/helper.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.hpp"
#include "kernel/namespaces.hpp"
#include "kernel/raw.hpp"
#include "rootless/command/helper_process.hpp"

namespace bryo::rootless::command {
namespace {

constexpr const char* kHelper = "the network helper";

}  // namespace

Helper::Helper(const Options& options, const std::string& network_directory, pid_t child, int netns, bool again) {
  auto [ours, theirs] = Link::make();
  const UniqueFd user = kernel::open_namespace(child, "user");
  pid_ = ::fork();
  if (pid_ < 0) fail_errno("start the network helper (fork)");
  if (pid_ == 0) {
    ours = Link();
    run_helper({options, network_directory, user.get(), netns, theirs, again});
  }
  process_.reset(kernel::raw::pidfd_open(pid_));
  theirs = Link();
  link_ = std::move(ours);
  network_ = json::decode<NetworkState>(json::parse(link_.expect("network", kHelper).text));
}

void Helper::add(const Forward& forward, int socket) const {
  link_.send("add", json::serialize(json::encode(forward)), socket);
  link_.expect("done", kHelper);
}

void Helper::remove(int id) const {
  link_.send("remove", std::to_string(id));
  link_.expect("done", kHelper);
}

void Helper::stop() {
  link_ = Link();
  while (pid_ > 0 && ::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

}  // namespace bryo::rootless::command

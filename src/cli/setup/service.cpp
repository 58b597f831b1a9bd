#include "cli/setup/service.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/unique_fd.hpp"
#include "cli/files/disk.hpp"
#include "cli/setup/run.hpp"

namespace bryo::cli {
namespace {

constexpr int kEndLimitMs = 60000;

std::string program_of(int pid) {
  std::array<char, 4096> path{};
  const ssize_t size = ::readlink(fmt::format("/proc/{}/exe", pid).c_str(), path.data(), path.size());
  return size <= 0 ? "" : std::string(path.data(), static_cast<std::size_t>(size));
}

}  // namespace

int Service::systemctl(std::initializer_list<const char*> words, bool must) const {
  std::vector<std::string> command{"systemctl"};
  if (!places_.system) command.emplace_back("--user");
  command.insert(command.end(), words.begin(), words.end());
  const Ran ran = run_quietly(command);
  if (must && ran.status != 0)
    fail(ErrorKind::unavailable, "{}: {}", join(command, " "), printable(trim(ran.output), 1000));
  return ran.status;
}

bool Service::managed() const { return is_there("/run/systemd/system") && systemctl({"show-environment"}, false) == 0; }

void Service::start() const {
  if (places_.system) run_quietly({"systemd-sysusers"});
  systemctl({"daemon-reload"}, true);
  systemctl({"enable", "bryo.service"}, true);
  systemctl({"restart", "bryo.service"}, true);
}

void Service::stop() const {
  if (managed()) {
    if (places_.system) systemctl({"disable", "--now", "bryo.socket"}, false);
    systemctl({"disable", "--now", "bryo.service"}, false);
  }
  const int pid = process();
  if (pid == 0) return;
  const UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!handle || process() != pid) return;
  ::syscall(SYS_pidfd_send_signal, handle.get(), SIGTERM, nullptr, 0);
  pollfd ended{handle.get(), POLLIN, 0};
  if (::poll(&ended, 1, kEndLimitMs) == 0)
    fail(ErrorKind::unavailable, "bryod (process {}) does not end: its log says why. Nothing was removed", pid);
}

void Service::forget() const {
  if (managed()) systemctl({"daemon-reload"}, false);
}

int Service::process() const {
  const auto text = read_whole_file(places_.pidfile());
  const auto pid = text ? parse_integer<int>(trim(*text)) : std::nullopt;
  if (!pid || *pid <= 1) return 0;
  const std::string program = program_of(*pid), ours = places_.programs + "/bryod";
  return program == ours || program == ours + " (deleted)" ? *pid : 0;
}

std::string Service::start_command() const { return (places_.system ? "sudo " : "") + places_.programs + "/bryod"; }

}  // namespace bryo::cli

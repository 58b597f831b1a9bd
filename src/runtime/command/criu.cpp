#include "runtime/command/criu.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"

namespace bryo::runtime::command {
namespace {

constexpr std::size_t kMostLog = 64 * 1024 * 1024;

// Of both commands, with the same name at CRIU's.
constexpr std::string_view kPlainOptions[] = {"tcp-established", "ext-unix-sk", "shell-job",
                                              "file-locks",      "auto-dedup",  "lazy-pages"};

bool is_bind(const oci::Mount& mount) {
  return mount.type == "bind" || std::ranges::any_of(mount.options, [](const std::string& option) {
           return option == "bind" || option == "rbind";
         });
}

// What was mounted from outside has a name in the images: the place where it was seen.
template <typename Visit>
void for_each_external(const oci::RuntimeSpec& spec, Visit&& visit) {
  for (const oci::Mount& mount : spec.mounts)
    if (is_bind(mount)) visit(mount.destination, mount.source);
  for (const std::string& path : spec.linux_->masked_paths) visit(path, std::string("/dev/null"));
}

std::vector<std::string> common_arguments(const Arguments& arguments, const char* command, const CriuPlaces& places,
                                          const ContainerState& state) {
  std::vector<std::string> out = {
      command, "--images-dir", places.images, "--work-dir", places.work, "--log-file", std::string(command) + ".log",
      "-v4",   "--root",       state.rootfs};
  for (const std::string_view option : kPlainOptions)
    if (arguments.has(option)) out.push_back("--" + std::string(option));
  out.push_back("--manage-cgroups=" + arguments.value("manage-cgroups-mode", "soft"));
  for (const std::string& kind : arguments.values("empty-ns")) {
    if (kind != "network" && kind != "net")
      fail(ErrorKind::unsupported, "--empty-ns {}: CRIU knows only the network namespace", printable(kind));
    out.insert(out.end(), {"--empty-ns", "net"});
  }
  return out;
}

// What CRIU says last before it gives up: "Error (criu/x.c:12): text".
std::string last_error(const std::string& log_file) {
  std::string found = "it wrote no reason";
  try {
    const UniqueFd fd = kernel::open_trusted(log_file, O_RDONLY);
    const std::string text = kernel::read_file(fd.get(), kMostLog);
    for (const std::string_view line : split(text, '\n'))
      if (line.find("Error (") != std::string_view::npos) found = line;
  } catch (const Error&) {
    // It did not get as far as a log.
    return found;
  }
  return printable(found, 500);
}

}  // namespace

std::string find_criu(const std::string& name) {
  std::vector<std::string> places = {name};
  if (name.find('/') == std::string::npos)
    places = {"/usr/local/sbin/" + name, "/usr/sbin/" + name, "/usr/local/bin/" + name, "/usr/bin/" + name};
  for (const std::string& place : places)
    if (::access(place.c_str(), X_OK) == 0) return place;
  fail(ErrorKind::unsupported,
       "checkpoint and restore need CRIU, and there is no program {}: install the package criu, or name it with --criu",
       printable(name));
}

void check_criu(const oci::RuntimeSpec& spec) {
  if (spec.process && spec.process->terminal)
    fail(ErrorKind::unsupported, "checkpoint and restore of a container with a terminal are not supported");
  for (const oci::LinuxNamespace& entry : spec.linux_->namespaces)
    if (!entry.path.empty())
      fail(ErrorKind::unsupported, "checkpoint and restore of a container that joined {} are not supported",
           printable(entry.path));
}

std::vector<std::string> criu_dump_arguments(const Arguments& arguments, const CriuPlaces& places,
                                             const oci::RuntimeSpec& spec, const ContainerState& state) {
  const bool before = arguments.has("pre-dump");
  std::vector<std::string> out = common_arguments(arguments, before ? "pre-dump" : "dump", places, state);
  out.insert(out.end(), {"--tree", std::to_string(state.pid)});
  if (before) out.emplace_back("--track-mem");
  if (arguments.has("leave-running") && !before) out.emplace_back("--leave-running");
  if (arguments.has("parent-path")) out.insert(out.end(), {"--prev-images-dir", arguments.value("parent-path")});
  if (arguments.has("page-server")) {
    const std::string server = arguments.value("page-server");
    const auto colon = server.rfind(':');
    if (colon == std::string::npos || !parse_integer<std::uint16_t>(std::string_view(server).substr(colon + 1)))
      fail(ErrorKind::invalid_argument, "--page-server {}: use ADDRESS:PORT", printable(server));
    out.insert(out.end(), {"--page-server", "--address", server.substr(0, colon), "--port", server.substr(colon + 1)});
  }
  if (arguments.has("status-fd")) out.insert(out.end(), {"--status-fd", arguments.value("status-fd")});
  for_each_external(spec, [&](const std::string& place, const std::string&) {
    out.insert(out.end(), {"--external", "mnt[" + place + "]:" + place});
  });
  return out;
}

std::vector<std::string> criu_restore_arguments(const Arguments& arguments, const CriuPlaces& places,
                                                const oci::RuntimeSpec& spec, const ContainerState& state,
                                                const std::vector<std::string>& inherited,
                                                const std::string& pid_file) {
  std::vector<std::string> out = common_arguments(arguments, "restore", places, state);
  out.insert(out.end(), {"--restore-detached", "--pidfile", pid_file});
  if (state.cgroups) out.insert(out.end(), {"--cgroup-root", state.cgroup_path});
  for (std::size_t i = 0; i < inherited.size(); ++i)
    if (inherited[i].starts_with("pipe:"))
      out.insert(out.end(), {"--inherit-fd", fmt::format("fd[{}]:{}", i, inherited[i])});
  if (arguments.has("lsm-profile")) out.insert(out.end(), {"--lsm-profile", arguments.value("lsm-profile")});
  if (arguments.has("lsm-mount-context"))
    out.insert(out.end(), {"--lsm-mount-context", arguments.value("lsm-mount-context")});
  for_each_external(spec, [&](const std::string& place, const std::string& source) {
    out.insert(out.end(), {"--external", "mnt[" + place + "]:" + source});
  });
  return out;
}

void run_criu(const std::string& program, const std::vector<std::string>& arguments, const std::string& log_file) {
  std::vector<char*> words = {const_cast<char*>(program.c_str())};
  for (const std::string& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  std::string path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  char* environment[] = {path.data(), nullptr};
  pid_t pid = -1;
  if (const int error = ::posix_spawn(&pid, program.c_str(), nullptr, nullptr, words.data(), environment); error != 0)
    throw Error::from_errno(error, "run " + program);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  fail(ErrorKind::internal, "criu {} failed ({} {}): {} (log: {})", arguments.front(),
       WIFEXITED(status) ? "exit status" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
       last_error(log_file), log_file);
}

}  // namespace bryo::runtime::command

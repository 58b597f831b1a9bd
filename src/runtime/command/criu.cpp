#include "runtime/command/criu.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/raw.hpp"
#include "kernel/spawn_settings.hpp"

namespace bryo::runtime::command {
namespace {

constexpr std::size_t kMostLog = 64 * 1024 * 1024;

// "file[MOUNT:INODE]": an open file that the container's mounts do not have.
constexpr std::string_view kExternalFile = "file[";

// Of both commands, with the same name at CRIU's.
constexpr std::string_view kPlainOptions[] = {"tcp-established", "ext-unix-sk", "shell-job",
                                              "file-locks",      "auto-dedup",  "lazy-pages"};

bool is_bind(const oci::Mount& mount) {
  return mount.type == "bind" || std::ranges::any_of(mount.options, [](const std::string& option) {
           return option == "bind" || option == "rbind";
         });
}

// What lies over masked files, all of them; over masked directories lies a tmpfs of the container's own.
constexpr const char* kMask = "/dev/null";

bool is_directory_of(pid_t pid, const std::string& path) {
  struct stat info = {};
  const UniqueFd root = kernel::open_trusted(fmt::format("/proc/{}/root", pid), O_PATH | O_DIRECTORY);
  const UniqueFd place(kernel::raw::open_below(root.get(), path.c_str(), O_PATH, RESOLVE_IN_ROOT));
  return place.get() >= 0 && ::fstat(place.get(), &info) == 0 && S_ISDIR(info.st_mode);
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

// CRIU stops the container's connections with iptables unless it is told otherwise (since 3.17).
bool has_iptables() {
  return std::ranges::any_of(std::array{"/usr/sbin/", "/sbin/", "/usr/local/sbin/"}, [](const char* directory) {
    return ::access((std::string(directory) + "iptables-restore").c_str(), X_OK) == 0;
  });
}

// A helper's exit status, a search for iptables-save, the end of it all: none says why.
bool says_why(std::string_view line) {
  return std::ranges::none_of(std::array{"exited, status=", "-save", "Dumping FAILED", "Restoring FAILED"},
                              [&](const char* noise) { return line.find(noise) != std::string_view::npos; });
}

// The first thing that went wrong: "Error (criu/x.c:12): text".
std::string first_error(const std::string& log_file) {
  std::string found = "it wrote no reason";
  try {
    const UniqueFd fd = kernel::open_trusted(log_file, O_RDONLY);
    const std::string text = kernel::read_file(fd.get(), kMostLog);
    for (const std::string_view line : split(text, '\n')) {
      if (line.find("Error (") == std::string_view::npos) continue;
      found = line;
      if (says_why(line)) break;
    }
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

std::vector<std::string> descriptors_for_criu(pid_t pid) {
  std::vector<std::string> out;
  const UniqueFd all = kernel::open_trusted(fmt::format("/proc/{}/fd", pid), O_RDONLY | O_DIRECTORY);
  for (const char* number : {"0", "1", "2"}) {
    std::string& name = out.emplace_back(kernel::read_link(all.get(), number));
    struct statx info = {};
    if (!name.starts_with('/') || ::statx(all.get(), number, 0, STATX_BASIC_STATS | STATX_MNT_ID, &info) != 0) continue;
    if (S_ISREG(info.stx_mode) || S_ISCHR(info.stx_mode))
      name = fmt::format("{}{:x}:{:x}]", kExternalFile, info.stx_mnt_id, info.stx_ino);
  }
  return out;
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
                                             const oci::RuntimeSpec& spec, const ContainerState& state,
                                             const std::vector<std::string>& descriptors) {
  const bool before = arguments.has("pre-dump");
  std::vector<std::string> out = common_arguments(arguments, before ? "pre-dump" : "dump", places, state);
  out.insert(out.end(), {"--tree", std::to_string(state.pid)});
  if (before)
    out.emplace_back("--track-mem");
  else if (!has_iptables())
    out.insert(out.end(), {"--network-lock", "nftables"});
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
  // What came from outside has a name in the images: the place where it was seen.
  for (const oci::Mount& mount : spec.mounts)
    if (is_bind(mount)) out.insert(out.end(), {"--external", fmt::format("mnt[{0}]:{0}", mount.destination)});
  for (const std::string& path : spec.linux_->masked_paths)
    if (!is_directory_of(state.pid, path))
      out.insert(out.end(), {"--external", fmt::format("mnt[{}]:{}", path, kMask)});
  for (const std::string& name : descriptors)
    if (name.starts_with(kExternalFile)) out.insert(out.end(), {"--external", name});
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
    if (inherited[i].starts_with("pipe:") || inherited[i].starts_with(kExternalFile))
      out.insert(out.end(), {"--inherit-fd", fmt::format("fd[{}]:{}", i, inherited[i])});
  if (arguments.has("lsm-profile")) out.insert(out.end(), {"--lsm-profile", arguments.value("lsm-profile")});
  if (arguments.has("lsm-mount-context"))
    out.insert(out.end(), {"--lsm-mount-context", arguments.value("lsm-mount-context")});
  for (const oci::Mount& mount : spec.mounts)
    if (is_bind(mount))
      out.insert(out.end(), {"--external", fmt::format("mnt[{}]:{}", mount.destination, mount.source)});
  if (!spec.linux_->masked_paths.empty()) out.insert(out.end(), {"--external", fmt::format("mnt[{0}]:{0}", kMask)});
  return out;
}

void run_criu(const std::string& program, const std::vector<std::string>& arguments, const std::string& log_file) {
  std::vector<char*> words = {const_cast<char*>(program.c_str())};
  for (const std::string& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  std::string path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  char* environment[] = {path.data(), nullptr};
  // It waits for signals of its own children, and ours may all be blocked (block_forwarded_signals).
  const kernel::SpawnSettings settings(kernel::SpawnSettings::Place::our_group);
  const pid_t pid = settings.spawn(program, words.data(), environment, "run " + program);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  fail(ErrorKind::internal, "criu {} failed ({} {}): {} (log: {})", arguments.front(),
       WIFEXITED(status) ? "exit status" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
       first_error(log_file), log_file);
}

}  // namespace bryo::runtime::command

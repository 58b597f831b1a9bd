// The driver pasta (passt.top), by its manual page pasta(1). Any version that configures the namespace's interface
// (--config-net, since 2023_02_16) will do; those before 2024_08_21 (no --map-host-loopback) cannot reach name servers
// on the host's loopback. It reads the host's resolv.conf once, at its start.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/netlink_links.hpp"
#include "kernel/process.hpp"
#include "rootless/driver_parts.hpp"
#include "rootless/network_drivers.hpp"

namespace bryo::rootless {
namespace {

constexpr const char* kPidFile = "pasta.pid";
constexpr std::size_t kLargestHelp = 65536;

// What `pasta --help` prints, whatever its exit status.
std::string help_of(const std::string& program, const std::string& state_directory) {
  const UniqueFd directory = kernel::open_trusted(state_directory, O_RDONLY | O_DIRECTORY);
  const UniqueFd text = kernel::open_at(directory.get(), ".", O_RDWR | O_TMPFILE, 0600);
  kernel::ProgramStart help;
  help.path = program;
  help.arguments = {"--help"};
  help.descriptors = {{text.get(), 1}, {text.get(), 2}};
  const kernel::StartedProgram started = kernel::start_program(help);
  if (!kernel::wait_for_end(started.process.get(), kReadyPatience)) end_program(started);
  kernel::reap(started.process.get());
  if (::lseek(text.get(), 0, SEEK_SET) != 0) fail_errno("lseek");
  return kernel::read_file(text.get(), kLargestHelp);
}

bool only_loopback_servers(const std::string& resolv_conf) {
  std::string text;
  try {
    text = kernel::read_file(kernel::open_trusted(resolv_conf, O_RDONLY).get(), kLargestHelp);
  } catch (const Error&) {
    return false;
  }
  bool any = false;
  for (const std::string_view line : split(text, '\n')) {
    if (!line.starts_with("nameserver")) continue;
    const auto address = kernel::IpAddress::try_parse(trim(line.substr(std::string_view("nameserver").size())));
    if (!address) continue;
    if (!address->is_loopback()) return false;
    any = true;
  }
  return any;
}

void check_version(const DriverStart& start, const std::string& program) {
  const std::string help = help_of(program, start.options.state_directory);
  if (help.find("--config-net") == std::string::npos)
    fail(ErrorKind::unsupported, "{} is too old: version 2023_02_16 or newer is needed (it has no --config-net)",
         program);
  if (help.find("--map-host-loopback") == std::string::npos && only_loopback_servers(start.options.resolv_conf))
    fail(ErrorKind::unsupported,
         "{} is older than 2024_08_21 and cannot ask the host's name servers, which {} says are on the host's "
         "loopback: use "
         "the builtin driver, or a newer pasta",
         program, start.options.resolv_conf);
}

int read_pid(const std::string& state_directory) {
  const UniqueFd directory = kernel::open_trusted(state_directory, O_RDONLY | O_DIRECTORY);
  const UniqueFd file = kernel::open_at(directory.get(), kPidFile, O_RDONLY);
  const auto pid = parse_integer<int>(trim(kernel::read_file(file.get(), 64)));
  if (!pid) fail(ErrorKind::internal, "pasta wrote no process id to {}/{}", state_directory, kPidFile);
  return *pid;
}

}  // namespace

std::vector<std::string> pasta_arguments(const UserNetworkOptions& options, const UserNetworkAddresses& addresses,
                                         const std::string& netns, const std::string& pid_file) {
  std::vector<std::string> out = {"--quiet", "--config-net", "--no-netns-quit", "--ns-ifname", options.interface,
                                  "--mtu", fmt::format("{}", options.mtu), "--address", addresses.guest.str(),
                                  "--netmask", fmt::format("{}", addresses.network.length()), "--gateway",
                                  addresses.host.str(), "--dns-forward", addresses.dns.str(),
                                  // Its defaults publish every port of the namespace on the host, and the reverse.
                                  "--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"};
  if (options.ipv6)
    out.insert(out.end(), {"--address", addresses.guest6.str(), "--gateway", addresses.host6.str()});
  else
    out.emplace_back("--ipv4-only");
  // The gateway stands for the host's loopback otherwise.
  if (!options.host_loopback) out.emplace_back("--no-map-gw");
  out.insert(out.end(), {"--pid", pid_file, "--netns", netns});
  return out;
}

kernel::StartedProgram start_pasta(const DriverStart& start) {
  refuse_single_ports(start.options, "pasta");
  const ProcessLog log(start.options.state_directory);
  kernel::ProgramStart program;
  program.path = installed_program("pasta", "passt");
  check_version(start, program.path);
  program.arguments =
      pasta_arguments(start.options, start.addresses, netns_path(), start.options.state_directory + "/" + kPidFile);
  program.descriptors = {{log.descriptor(), 2}, {start.netns, kNetnsDescriptor}};
  // It goes into the background when it is ready: what we started ends then.
  const kernel::StartedProgram front = start_outside(start, program);
  if (!kernel::wait_for_end(front.process.get(), kReadyPatience)) {
    end_program(front);
    fail(ErrorKind::unavailable, "pasta is not ready after 15 seconds: {}", log.words());
  }
  const int status = kernel::reap_status(front.process.get());
  if (status != 0) fail(ErrorKind::unavailable, "pasta ended with status {}: {}", status, log.words());
  kernel::StartedProgram started;
  started.pid = read_pid(start.options.state_directory);
  const auto stat = kernel::process_stat(started.pid);
  if (stat) started.process = kernel::open_process(started.pid, stat->start_time);
  if (!started.process) fail(ErrorKind::unavailable, "pasta has ended: {}", log.words());
  return started;
}

}  // namespace bryo::rootless

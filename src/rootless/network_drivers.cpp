#include "rootless/network_drivers.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/netlink_links.hpp"
#include "kernel/process.hpp"
#include "kernel/program.hpp"
#include "kernel/tap.hpp"
#include "rootless/usernet/config.hpp"

namespace bryo::rootless {
namespace {

constexpr int kReadyPatience = 15000;  // ms
constexpr int kOperationalPatience = 10000;
constexpr int kNetnsDescriptor = 5;
constexpr std::size_t kLongestExcuse = 2048;

// Addresses, routes, and up: inside.
void configure_interface(const DriverStart& start) {
  kernel::run_in_netns(start.netns, [&] {
    const std::string& name = start.options.interface;
    const UserNetworkAddresses& addresses = start.addresses;
    // All is static: what somebody on the other side advertises changes nothing.
    kernel::set_net_sysctl("ipv6/conf/" + name + "/accept_ra", "0");
    kernel::NetlinkSocket socket(NETLINK_ROUTE);
    const auto link = kernel::find_link(socket, name);
    if (!link) fail(ErrorKind::unavailable, "interface {} is not in the network namespace", name);
    kernel::LinkChanges changes;
    changes.mtu(link->index, start.options.mtu)
        .add_address(link->index, kernel::IpPrefix(addresses.guest, addresses.network.length()))
        .up(link->index)
        .default_route(link->index, addresses.host);
    changes.execute(socket, "set up interface " + name);
    if (start.options.ipv6) {
      kernel::LinkChanges()
          .add_address(link->index, kernel::IpPrefix(addresses.guest6, addresses.network6.length()))
          .default_route(link->index, addresses.host6)
          .execute(socket, "set up IPv6 on interface " + name);
    }
    kernel::wait_operational(socket, name, kOperationalPatience);
  });
}

// The log of the process: its words since `offset` are the reason when it fails.
class Log {
 public:
  explicit Log(const std::string& state_directory)
      : directory_(kernel::open_trusted(state_directory, O_RDONLY | O_DIRECTORY)),
        file_(kernel::open_at(directory_.get(), "usernet.log", O_RDWR | O_CREAT | O_APPEND, 0600)),
        offset_(kernel::stat_fd(file_.get()).st_size) {}
  int descriptor() const { return file_.get(); }
  std::string words() const {
    std::string out(kLongestExcuse, '\0');
    const ssize_t size = ::pread(file_.get(), out.data(), out.size(), offset_);
    out.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return printable(trim(out), kLongestExcuse);
  }

 private:
  UniqueFd directory_, file_;
  off_t offset_;
};

struct Pipe {
  UniqueFd read, write;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail_errno("make a pipe");
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
};

void end(const kernel::StartedProgram& program) {
  kernel::send_signal(program.process.get(), SIGKILL);
  kernel::wait_for_end(program.process.get(), kReadyPatience);
  kernel::reap(program.process.get());
}

// Until "1" comes through the pipe, which only the program holds.
void wait_until_ready(const kernel::StartedProgram& program, Pipe& pipe, const Log& log, std::string_view name) {
  pipe.write.reset();
  pollfd wanted = {pipe.read.get(), POLLIN, 0};
  const int ready = ::poll(&wanted, 1, kReadyPatience);
  char byte = 0;
  if (ready == 1 && ::read(pipe.read.get(), &byte, 1) == 1) return;
  end(program);
  fail(ErrorKind::unavailable, "{} {}: {}", name,
       ready == 0 ? "is not ready after 15 seconds" : "ended before it was ready", log.words());
}

kernel::StartedProgram start_outside(const DriverStart& start, const kernel::ProgramStart& program) {
  kernel::StartedProgram started;
  start.outside.run([&] { started = kernel::start_program(program); });
  return started;
}

std::string installed(const std::string& name, std::string_view package) {
  std::string path = kernel::find_program(name);
  if (path.empty())
    fail(ErrorKind::not_found,
         "the network driver {} needs the program {}, which is not installed: install the package {}, or "
         "use the builtin driver",
         name, name, package);
  return path;
}

// What opens all of the host's loopback or nothing.
void refuse_single_ports(const UserNetworkOptions& options, std::string_view name) {
  if (options.host_ports.empty() || options.host_loopback) return;
  fail(ErrorKind::unsupported,
       "the network driver {} cannot open single ports of the host's loopback: use the builtin driver, or open all of "
       "it",
       name);
}

std::string netns_path() { return fmt::format("/proc/self/fd/{}", kNetnsDescriptor); }

}  // namespace

UserNetworkAddresses addresses_for(const UserNetworkOptions& options) {
  // slirp4netns(1), --enable-ipv6.
  constexpr const char* kSlirp4netnsPrefix = "fd00::/64";
  return options.driver == NetworkDriver::slirp4netns ? user_network_addresses(options.cidr, kSlirp4netnsPrefix)
                                                      : user_network_addresses(options.cidr);
}

kernel::StartedProgram start_builtin(const DriverStart& start) {
  const UserNetworkOptions& options = start.options;
  usernet::Config config;
  config.mtu = options.mtu;
  config.cidr = options.cidr;
  config.ipv6 = options.ipv6;
  config.host_loopback = options.host_loopback;
  config.host_ports = options.host_ports;
  config.resolv_conf = options.resolv_conf;
  const UniqueFd tap = kernel::make_tap(options.interface, options.mtu, start.netns);
  configure_interface(start);
  const Log log(options.state_directory);
  Pipe ready;
  kernel::ProgramStart program;
  program.path = options.program.empty() ? kernel::own_program_directory() + "/bryo-usernet" : options.program;
  program.arguments = usernet::arguments_of(config);
  program.descriptors = {
      {log.descriptor(), 2}, {tap.get(), usernet::kTapDescriptor}, {ready.write.get(), usernet::kReadyDescriptor}};
  kernel::StartedProgram started = start_outside(start, program);
  wait_until_ready(started, ready, log, "bryo-usernet");
  return started;
}

std::vector<std::string> slirp4netns_arguments(const UserNetworkOptions& options, int ready, const std::string& netns) {
  std::vector<std::string> out = {fmt::format("--mtu={}", options.mtu),
                                  "--cidr=" + options.cidr,
                                  fmt::format("--ready-fd={}", ready),
                                  "--enable-sandbox",
                                  "--enable-seccomp",
                                  "--netns-type=path"};
  if (options.ipv6) out.emplace_back("--enable-ipv6");
  if (!options.host_loopback) out.emplace_back("--disable-host-loopback");
  out.push_back(netns);
  out.push_back(options.interface);
  return out;
}

kernel::StartedProgram start_slirp4netns(const DriverStart& start) {
  refuse_single_ports(start.options, "slirp4netns");
  const Log log(start.options.state_directory);
  Pipe ready;
  kernel::ProgramStart program;
  program.path = installed("slirp4netns", "slirp4netns");
  program.arguments = slirp4netns_arguments(start.options, usernet::kReadyDescriptor, netns_path());
  program.descriptors = {
      {log.descriptor(), 2}, {ready.write.get(), usernet::kReadyDescriptor}, {start.netns, kNetnsDescriptor}};
  kernel::StartedProgram started = start_outside(start, program);
  wait_until_ready(started, ready, log, "slirp4netns");
  try {
    configure_interface(start);
  } catch (...) {
    end(started);
    throw;
  }
  return started;
}

void refuse_vpnkit() {
  if (kernel::find_program("vpnkit").empty())
    fail(ErrorKind::not_found,
         "the network driver vpnkit needs the program vpnkit, which is not installed and not packaged by Debian; use "
         "the "
         "builtin driver, which needs nothing");
  fail(ErrorKind::unsupported, "the network driver vpnkit is not supported: use builtin, pasta or slirp4netns");
}

}  // namespace bryo::rootless

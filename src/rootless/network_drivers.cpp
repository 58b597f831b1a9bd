#include "rootless/network_drivers.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/error.hpp"
#include "kernel/tap.hpp"
#include "rootless/driver_parts.hpp"
#include "rootless/usernet/config.hpp"

namespace bryo::rootless {
namespace {

struct Pipe {
  UniqueFd read, write;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail_errno("make a pipe");
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
};

// Until "1" comes through the pipe, which only the program holds.
void wait_until_ready(const kernel::StartedProgram& program, Pipe& pipe, const ProcessLog& log, std::string_view name) {
  pipe.write.reset();
  pollfd wanted = {pipe.read.get(), POLLIN, 0};
  const int ready = ::poll(&wanted, 1, kReadyPatience);
  char byte = 0;
  if (ready == 1 && ::read(pipe.read.get(), &byte, 1) == 1) return;
  end_program(program);
  fail(ErrorKind::unavailable, "{} {}: {}", name,
       ready == 0 ? "is not ready after 15 seconds" : "ended before it was ready", log.words());
}

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
  const ProcessLog log(options.state_directory);
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
  const ProcessLog log(start.options.state_directory);
  Pipe ready;
  kernel::ProgramStart program;
  program.path = installed_program("slirp4netns", "slirp4netns");
  program.arguments = slirp4netns_arguments(start.options, usernet::kReadyDescriptor, netns_path());
  program.descriptors = {
      {log.descriptor(), 2}, {ready.write.get(), usernet::kReadyDescriptor}, {start.netns, kNetnsDescriptor}};
  kernel::StartedProgram started = start_outside(start, program);
  wait_until_ready(started, ready, log, "slirp4netns");
  try {
    configure_interface(start);
  } catch (...) {
    end_program(started);
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

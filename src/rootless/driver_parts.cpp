#include "rootless/driver_parts.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/netlink_links.hpp"
#include "kernel/process.hpp"

namespace bryo::rootless {
namespace {

constexpr int kOperationalPatience = 10000;
constexpr std::size_t kLongestExcuse = 2048;

}  // namespace

ProcessLog::ProcessLog(const std::string& state_directory)
    : directory_(kernel::open_trusted(state_directory, O_RDONLY | O_DIRECTORY)),
      file_(kernel::open_at(directory_.get(), "usernet.log", O_RDWR | O_CREAT | O_APPEND, 0600)),
      offset_(kernel::stat_fd(file_.get()).st_size) {}

std::string ProcessLog::words() const {
  std::string out(kLongestExcuse, '\0');
  const ssize_t size = ::pread(file_.get(), out.data(), out.size(), offset_);
  out.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return printable(trim(out), kLongestExcuse);
}

void end_program(const kernel::StartedProgram& program) {
  kernel::send_signal(program.process.get(), SIGKILL);
  kernel::wait_for_end(program.process.get(), kReadyPatience);
  kernel::reap(program.process.get());
}

kernel::StartedProgram start_outside(const DriverStart& start, const kernel::ProgramStart& program) {
  kernel::StartedProgram started;
  start.outside.run([&] { started = kernel::start_program(program); });
  return started;
}

std::string installed_program(const std::string& name, std::string_view package) {
  std::string path = kernel::find_program(name);
  if (path.empty())
    fail(ErrorKind::not_found,
         "the network driver {} needs the program {}, which is not installed: install the package {}, or "
         "use the builtin driver",
         name, name, package);
  return path;
}

void refuse_single_ports(const UserNetworkOptions& options, std::string_view name) {
  if (options.host_ports.empty() || options.host_loopback) return;
  fail(ErrorKind::unsupported,
       "the network driver {} cannot open single ports of the host's loopback: use the builtin driver, or open all of "
       "it",
       name);
}

std::string netns_path() { return fmt::format("/proc/self/fd/{}", kNetnsDescriptor); }

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

}  // namespace bryo::rootless

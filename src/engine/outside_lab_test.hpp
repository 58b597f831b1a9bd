// For tests of published ports in a rootless engine's position: the engine's network namespace ("inside") is not the
// one that other hosts know ("outside"); a cable to it stands for the user-mode network. Forwards run in a real
// monitor.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/ports.hpp"
#include "kernel/netns.hpp"
#include "monitor/hub.hpp"
#include "monitor/test_support.hpp"
#include "network/lab_test.hpp"

namespace bryo::engine::lab {

using namespace network::lab;
using network::NetworkCreate;
using network::NetworkOptions;
using network::PortPublish;
using network::Protocol;
using network::PublishResult;
using network::lab::Container;
namespace support = monitor::testing_support;

inline constexpr const char* kUplink = "10.0.2.100";
inline constexpr const char* kGateway = "172.17.0.1";
inline constexpr const char* kGateway6 = "fd00:17::1";

class OutsideLab : public NetworkLab {
 protected:
  void SetUp() override {
    NetworkLab::SetUp();
    if (IsSkipped()) return;
    outside_ = std::make_shared<kernel::NetnsThread>();
    if (::unshare(CLONE_NEWNET) != 0) fail_errno("unshare CLONE_NEWNET");
    inside_ = kernel::open_own_netns();
    connect_uplink();
    monitor::StartRequest request;
    request.container_id = "c1";
    request.runtime_directory = scratch_.path();
    request.plan = support::plain_plan({"sleep", "1000"});
    hub_ = std::make_unique<monitor::MonitorHub>(monitor::MonitorProgram(support::beside_this_program("plain-monitor")),
                                                 listener_);
    monitor_ = hub_->spawn(std::move(request));
    monitor_->start();
  }

  void TearDown() override {
    if (monitor_) {
      monitor_->signal(SIGKILL);
      EXPECT_TRUE(listener_.wait_exit("c1").has_value());
      monitor_->close();
    }
    NetworkLab::TearDown();
  }

  // The default network "bridge" speaks both families, unless told otherwise.
  void start_inside(std::function<void(NetworkOptions&)> change = {}) {
    NetworkOptions options;
    options.outside = outside_;
    options.ipv6 = true;
    options.fixed_cidr_v6 = "fd00:17::/64";
    if (change) change(options);
    start(std::move(options));
  }

  OtherHost plug_in_outside(const std::string& interface = "lan0", const std::string& v4 = "198.51.100.",
                            const std::string& v6 = "2001:db8:100::") {
    return in(host(), [&] { return plug_in(interface, v4, v6); });
  }

  // Publishes and hands the sockets to the monitor.
  PublishResult forward(const Container& container, std::uint16_t container_port, std::uint16_t host_port,
                        Protocol protocol = Protocol::tcp, const std::string& host_ip = "") {
    PublishResult result = publish(container, container_port, host_port, protocol, host_ip);
    monitor_->add_ports(forwards_of(std::move(result.sockets)));
    return result;
  }

  int inside() const { return inside_.get(); }
  monitor::Monitor& monitor() { return *monitor_; }

  std::shared_ptr<kernel::NetnsThread> outside_;

 private:
  void connect_uplink() {
    kernel::NetlinkSocket socket(NETLINK_ROUTE);
    kernel::VethSpec cable;
    cable.host_name = "tap0";
    cable.peer_name = "slirp0";
    cable.peer_netns = host();
    cable.peer_mac = {2, 0, 0, 0, 2, 2};
    kernel::create_veth(socket, cable);
    in(host(), [&] {
      kernel::NetlinkSocket there(NETLINK_ROUTE);
      const int end = kernel::find_link(there, "slirp0")->index;
      kernel::set_net_sysctl("ipv6/conf/slirp0/accept_dad", "0");
      kernel::LinkChanges()
          .up(end)
          .add_address(end, IpPrefix::parse("10.0.2.2/24"))
          .add_address(end, IpPrefix::parse("fd00:2::2/64"))
          .execute(there, "uplink");
    });
    const int tap = kernel::find_link(socket, "tap0")->index;
    kernel::set_net_sysctl("ipv6/conf/tap0/accept_dad", "0");
    kernel::LinkChanges()
        .up(1)
        .up(tap)
        .add_address(tap, IpPrefix::parse("10.0.2.100/24"))
        .add_address(tap, IpPrefix::parse("fd00:2::100/64"))
        .default_route(tap, IpAddress::parse("10.0.2.2"))
        .default_route(tap, IpAddress::parse("fd00:2::2"))
        .execute(socket, "uplink");
    kernel::wait_operational(socket, "tap0", kPatience);
  }

  UniqueFd inside_;
  support::ScratchDirectory scratch_;
  support::RecordingListener listener_;
  std::unique_ptr<monitor::MonitorHub> hub_;
  std::shared_ptr<monitor::Monitor> monitor_;
};

}  // namespace bryo::engine::lab

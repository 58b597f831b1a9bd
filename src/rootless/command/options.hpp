// The command line of bryo-rootless: rootlesskit's flags (docs/bryo-rootless.md), then a command and its words. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rootless/command/port_spec.hpp"
#include "rootless/user_network.hpp"

namespace bryo::rootless::command {

enum class NetworkKind { host, none, user_mode };
enum class CopyUpMode { symlinks, overlay };
enum class PortDriver { none, builtin, slirp4netns };
enum class SubidSource { automatic, dynamic, fixed };

struct Options {
  bool debug = false, help = false, version = false;

  std::vector<std::string> copy_up;  // absolute, no two the same
  CopyUpMode copy_up_mode = CopyUpMode::symlinks;
  std::string propagation = "rprivate";

  NetworkKind network = NetworkKind::host;
  UserNetworkOptions user_network;  // of NetworkKind::user_mode; the host's loopback is open unless a flag closes it
  std::optional<bool> ipv6;         // as given; user_network.ipv6 is what follows from it
  bool detach_netns = false;

  PortDriver port_driver = PortDriver::none;
  std::vector<PortSpec> publish;

  bool pidns = false, cgroupns = false, utsns = false, ipcns = false;
  bool reaper = true;  // process 1 of --pidns waits for orphans
  std::string evacuate_cgroup2;

  std::string state_directory;  // empty: a temporary one
  SubidSource subid_source = SubidSource::automatic;
  std::vector<std::string> command;

  Options() { user_network.host_loopback = true; }
  // Flags up to the first other word, or "--". Error{invalid_argument} for what is unknown or does not fit together,
  // Error{unsupported} for what rootlesskit can and we cannot.
  static Options parse(const std::vector<std::string>& words);
};

// For --help.
std::string help_text();
// "builtin", for messages and the API.
std::string_view to_string(PortDriver driver);

}  // namespace bryo::rootless::command

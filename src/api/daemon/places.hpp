// Where a daemon keeps its things when nobody says otherwise: the machine's (/var/lib/bryo, /run/bryo, /etc/bryo) or a
// user's (XDG Base Directory Specification; Docker's rootless mode has the same places under its own name).
#pragma once

#include <string>
#include <vector>

namespace bryo::daemon {

struct Places {
  std::string data_root = "/var/lib/bryo";
  std::string exec_root = "/run/bryo";
  std::string config_file = "/etc/bryo/daemon.json";
  std::string pidfile = "/run/bryo/bryo.pid";
  std::string own_socket = "/run/bryo/bryo.sock";
  std::string docker_socket = "/var/run/docker.sock";
  std::vector<std::string> cdi = {"/etc/cdi", "/var/run/cdi"};  // specifications of devices, lowest priority first
};

// What they are made from.
struct UserPlaces {
  std::string home;         // $HOME
  std::string data_home;    // $XDG_DATA_HOME; empty: ~/.local/share
  std::string config_home;  // $XDG_CONFIG_HOME; empty: ~/.config
  std::string runtime;      // a directory of the user's that the next boot does not know
};

Places places_of(const UserPlaces& user);
// Of this process: a user's, unless it is root of the machine, or of a machine of its own (a container: its files are
// its root's). The runtime directory is $XDG_RUNTIME_DIR, else /run/user/<uid>, else /tmp/bryo-<uid>, which is made
// with mode 0700. Error{permission} when that is somebody else's or open to others; Error{not_found} without $HOME.
Places places();

}  // namespace bryo::daemon

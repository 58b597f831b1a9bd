// Where `bryo setup` puts things: below the user's home, or for the whole machine. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace bryo::cli {

// Of the environment; empty when not set.
using Variables = std::function<std::string(const char* name)>;

struct SetupPlaces {
  bool system = false;
  std::string prefix;         // ~/.local, /usr/local
  std::string programs;       // <prefix>/bin
  std::string completions;    // <prefix>/share
  std::string units;          // systemd's directory for units of the user, or of the administrator
  std::string docker;         // directory of the docker client's configuration; empty for the machine
  std::string manifest;       // what was installed, for the way back
  std::string configuration;  // ~/.config/bryo, /etc/bryo
  std::string data_root;      // images and volumes, when daemon.json names no other place
  std::string exec_root;      // sockets and the pid file
  std::string socket() const { return exec_root + "/bryo.sock"; }
  std::string pidfile() const { return exec_root + "/bryo.pid"; }
};

// XDG Base Directory Specification; `prefix` empty: the usual one. Error{not_found} without HOME,
// Error{invalid_argument} for a prefix that is not absolute.
SetupPlaces user_places(std::uint32_t uid, const std::string& prefix, const Variables& variables);
SetupPlaces system_places(const std::string& prefix);

}  // namespace bryo::cli

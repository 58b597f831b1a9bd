// What bryod is told: dockerd's flags, dockerd's keys of daemon.json, and BRYO_OPTS (or DOCKER_OPTS) of the unit's
// environment, merged into one struct.
//
// One table (option_table.cpp) describes every option once: flag, key, type, what it sets, help. A directive may come
// from the flags or from the file, not from both. Errors: Error{invalid_argument} naming the option and its source.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/daemon/places.hpp"
#include "base/json.hpp"
#include "engine/options.hpp"
#include "rootless/user_network.hpp"

namespace bryo::daemon {

struct DaemonOptions {
  DaemonOptions() : DaemonOptions(Places{}) {}
  explicit DaemonOptions(const Places& from);

  engine::Options engine;
  rootless::UserNetworkOptions user_network;  // of a daemon without root

  std::vector<std::string> hosts;  // -H; empty: the default sockets
  Places places;                   // defaults, where nothing else was given
  std::string pidfile;
  std::string config_file;
  bool config_file_given = false;
  std::string group;  // owner of unix sockets; empty: docker or bryo when there is such a group
  std::string log_level = "info";
  std::vector<std::string> allowed_hosts;

  bool tls = false;
  bool tls_verify = false;
  std::string tls_authority = "/etc/bryo/ca.pem";
  std::string tls_certificate = "/etc/bryo/cert.pem";
  std::string tls_key = "/etc/bryo/key.pem";

  std::string http_proxy;
  std::string https_proxy;
  std::string no_proxy;

  bool validate = false;
  bool version = false;
  bool help = false;

  // Accepted for dockerd's sake and without effect here, with the reason: to be logged as warnings.
  std::vector<std::string> warnings;
};

enum class OptionKind {
  boolean,
  text,
  number,
  size,      // "64M", or a number of bytes
  list,      // repeatable; an array in the file
  map,       // repeatable key=value; an object in the file
  pools,     // base=…,size=…; an array of {"base":…,"size":…}
  ulimits,   // name=soft:hard; {"name":{"Name":…,"Soft":…,"Hard":…}}
  proxies,   // only in the file: {"http-proxy":…}
  anything,  // whatever dockerd takes; without effect
};

struct Option {
  std::string_view flag;  // without dashes; empty: only in the file
  char letter;            // 0: none
  std::string_view key;   // of daemon.json; empty: only a flag
  OptionKind kind;
  void (*set)(DaemonOptions& options, const std::string& value);  // once for each value; throws Error
  std::string_view help;
};

std::span<const Option> option_table();
// nullptr when there is no such option.
const Option* find_flag(std::string_view name);
const Option* find_letter(char letter);
const Option* find_key(std::string_view key);
std::string help_text();

// A flag as it was given, before the file is looked at.
struct GivenFlag {
  const Option* option;
  std::string value;
};

// Go's flag syntax: --name value, --name=value, -H value, -Hvalue, booleans without a value.
std::vector<GivenFlag> parse_flags(const std::vector<std::string>& arguments);
// BRYO_OPTS: words separated by blanks, quotes as in a shell, no expansion.
std::vector<std::string> split_words(std::string_view text);
// Applies the flags, then the file that they name; `read_file` gives nullopt when it does not exist.
using FileReader = std::optional<std::string> (*)(const std::string& path);
DaemonOptions merge_options(const std::vector<GivenFlag>& flags, FileReader read_file, const Places& places = {});
// All of it for a running program: environment, arguments (without the program's name), file.
DaemonOptions load_options(const std::vector<std::string>& arguments);

// The values of one directive of the file as the text that its flag would have; checks the JSON type.
std::vector<std::string> directive_values(const Option& option, const json::Value& value);

}  // namespace bryo::daemon

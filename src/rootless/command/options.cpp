#include "rootless/command/options.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "rootless/command/option_table.hpp"

namespace bryo::rootless::command {
namespace {

const Option& find(std::string_view name, std::string_view word) {
  for (const Option& option : option_table())
    if (option.name == name || (option.short_name != 0 && name == std::string_view(&option.short_name, 1)))
      return option;
  fail(ErrorKind::invalid_argument, "unknown flag {}: see bryo-rootless --help", printable(word, 80));
}

bool is_flag(const std::string& word) { return word.size() > 1 && word[0] == '-'; }

// Takes the flag at `at` with its value; returns where the next word is.
std::size_t take(Options& options, const std::vector<std::string>& words, std::size_t at) {
  const std::string& word = words[at];
  const std::string_view bare = std::string_view(word).substr(word[1] == '-' ? 2 : 1);
  const auto pair = split_once(bare, '=');
  const Option& option = find(pair ? pair->first : bare, word);
  std::string value = pair ? std::string(pair->second) : "true";
  if (option.takes_value && !pair) {
    if (++at >= words.size()) fail(ErrorKind::invalid_argument, "flag {} needs a value", printable(word, 80));
    value = words[at];
  }
  option.set(options, value);
  return at + 1;
}

void check(const Options& o) {
  const bool own_network = o.network != NetworkKind::host;
  if (o.port_driver != PortDriver::none && !own_network)
    fail(ErrorKind::invalid_argument, "--port-driver={} needs a network of its own: add for example --net=slirp",
         to_string(o.port_driver));
  if (o.port_driver == PortDriver::slirp4netns && o.user_network.driver != NetworkDriver::slirp4netns)
    fail(ErrorKind::invalid_argument, "--port-driver=slirp4netns needs --net=slirp4netns: use --port-driver=builtin");
  if (!o.publish.empty() && o.port_driver == PortDriver::none)
    fail(ErrorKind::invalid_argument, "--publish needs --port-driver=builtin");
  if (o.detach_netns && !own_network)
    fail(ErrorKind::invalid_argument, "--detach-netns needs a network of its own: add for example --net=slirp");
  if (!o.evacuate_cgroup2.empty() && !(o.pidns && o.cgroupns))
    fail(ErrorKind::invalid_argument, "--evacuate-cgroup2 needs --pidns and --cgroupns");
}

}  // namespace

Options Options::parse(const std::vector<std::string>& words) {
  Options options;
  std::size_t at = 0;
  while (at < words.size() && is_flag(words[at])) {
    if (words[at] == "--") {
      ++at;
      break;
    }
    at = take(options, words, at);
  }
  options.command.assign(words.begin() + static_cast<std::ptrdiff_t>(at), words.end());
  if (options.help || options.version) return options;
  check(options);
  // rootlesskit's slirp4netns has IPv6 only when asked.
  options.user_network.ipv6 = options.ipv6.value_or(options.user_network.driver != NetworkDriver::slirp4netns);
  if (options.command.empty())
    fail(ErrorKind::invalid_argument, "no command to run: bryo-rootless [flags] COMMAND [arguments]");
  return options;
}

std::string_view to_string(PortDriver driver) {
  switch (driver) {
    case PortDriver::none:
      return "none";
    case PortDriver::builtin:
      return "builtin";
    case PortDriver::slirp4netns:
      return "slirp4netns";
  }
  return "";
}

std::string help_text() {
  std::string out =
      "Usage: bryo-rootless [flags] COMMAND [arguments]\n\n"
      "Runs a command as root of a new user namespace, with a network if one is wanted.\n";
  std::string_view group;
  for (const Option& option : option_table()) {
    if (option.group != group) out += fmt::format("\n{}:\n", group = option.group);
    const std::string names =
        fmt::format("{}--{}{}", option.short_name != 0 ? fmt::format("-{}, ", option.short_name) : "", option.name,
                    option.takes_value ? " VALUE" : "");
    out += fmt::format("  {:<30} {}\n", names, option.help);
  }
  return out;
}

}  // namespace bryo::rootless::command

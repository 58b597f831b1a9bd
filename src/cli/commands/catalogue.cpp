#include "cli/commands/catalogue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/strings.hpp"
#include "cli/commands/command.hpp"
#include "cli/commands/context.hpp"

namespace bryo::cli {
namespace {

constexpr std::array kCommands = {
    &kAttach,
    &kCommit,
    &kCompletion,
    &kCopy,
    &kCreate,
    &kDiff,
    &kDoctor,
    &kEvents,
    &kExec,
    &kExport,
    &kHistory,
    &kImages,
    &kImport,
    &kInfo,
    &kInspect,
    &kKill,
    &kLoad,
    &kLogin,
    &kLogout,
    &kLogs,
    &kPause,
    &kPort,
    &kPs,
    &kPull,
    &kPush,
    &kRemove,
    &kRemoveImage,
    &kRename,
    &kRestart,
    &kRun,
    &kSave,
    &kSetup,
    &kStart,
    &kStats,
    &kStop,
    &kTag,
    &kTop,
    &kUnpause,
    &kUpdate,
    &kVersion,
    &kWait,
    &kContainerInspect,
    &kContainerPrune,
    &kImageInspect,
    &kImagePrune,
    &kNetworkConnect,
    &kNetworkCreate,
    &kNetworkDisconnect,
    &kNetworkInspect,
    &kNetworkList,
    &kNetworkPrune,
    &kNetworkRemove,
    &kVolumeCreate,
    &kVolumeInspect,
    &kVolumeList,
    &kVolumePrune,
    &kVolumeRemove,
    &kSystemDf,
    &kSystemPrune,
};

constexpr std::array<Group, 5> kGroups = {{{"container", "Manage containers"},
                                           {"image", "Manage images"},
                                           {"network", "Manage networks"},
                                           {"system", "Look after the engine"},
                                           {"volume", "Manage volumes"}}};

std::string first_word(std::string_view name) { return std::string(name.substr(0, name.find(' '))); }

std::string two_columns(std::vector<std::pair<std::string, std::string_view>> lines) {
  std::sort(lines.begin(), lines.end());
  std::size_t width = 0;
  for (const auto& [left, right] : lines) width = std::max(width, left.size());
  std::string out;
  for (const auto& [left, right] : lines) out += fmt::format("  {:<{}}  {}\n", left, width, right);
  return out;
}

}  // namespace

std::span<const Command* const> catalogue() { return kCommands; }
std::span<const Group> groups() { return kGroups; }

Match find_command(std::span<const std::string> line) {
  Match match;
  if (line.empty()) return match;
  const std::string two = line.size() > 1 ? line[0] + " " + line[1] : "";
  for (const Command* command : kCommands)
    for (const std::string_view name : split(command->names, '|')) {
      if (name == two) return {command, two, 2, nullptr};
      if (name == line[0]) match = {command, line[0], 1, nullptr};
    }
  for (const Group& group : kGroups)
    if (group.name == line[0]) match.group = &group;
  return match;
}

std::string program_help() {
  std::vector<std::pair<std::string, std::string_view>> group_lines;
  std::vector<std::pair<std::string, std::string_view>> command_lines;
  for (const Group& group : kGroups) group_lines.emplace_back(group.name, group.summary);
  for (const Command* command : kCommands)
    for (const std::string_view name : split(command->names, '|'))
      if (name.find(' ') == std::string_view::npos) command_lines.emplace_back(name, command->summary);
  const OptionTable tables[] = {kGlobalOptions};
  return "Usage:  bryo [OPTIONS] COMMAND\n\nRun and manage containers\n\nManagement Commands:\n" +
         two_columns(std::move(group_lines)) + "\nCommands:\n" + two_columns(std::move(command_lines)) +
         "\nGlobal Options:\n" + describe_options(tables) +
         "\nRun 'bryo COMMAND --help' for more information on a command.\n";
}

std::string group_help(const Group& group) {
  std::vector<std::pair<std::string, std::string_view>> lines;
  for (const Command* command : kCommands)
    for (const std::string_view name : split(command->names, '|'))
      if (first_word(name) == group.name && name.find(' ') != std::string_view::npos) {
        lines.emplace_back(name.substr(name.find(' ') + 1), command->summary);
        break;  // further names are aliases
      }
  return fmt::format(
      "Usage:  bryo {0} COMMAND\n\n{1}\n\nCommands:\n{2}\nRun 'bryo {0} COMMAND --help' for more "
      "information on a command.\n",
      group.name, group.summary, two_columns(std::move(lines)));
}

std::string command_help(const Command& command, std::string_view name) {
  std::string out = fmt::format("Usage:  bryo {} {}\n\n{}\n", name, command.usage, command.summary);
  const auto names = split(command.names, '|');
  if (names.size() > 1) {
    out += "\nAliases:\n  ";
    for (const std::string_view one : names) out += fmt::format("{}bryo {}", &one == &names[0] ? "" : ", ", one);
    out += '\n';
  }
  const OptionTable tables[] = {command.options, command.more};
  if (const std::string options = describe_options(tables); !options.empty()) out += "\nOptions:\n" + options;
  return out;
}

}  // namespace bryo::cli

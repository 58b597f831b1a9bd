#include "cli/commands/program.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/commands/command.hpp"
#include "cli/commands/context.hpp"
#include "cli/format/escape.hpp"

namespace bryo::cli {
namespace {

constexpr int kUsageStatus = 125;  // a mistake in the options, or a container that could not be created or started

void say(std::string_view text) {
  try {
    write_fully(STDERR_FILENO, text);
  } catch (const Error&) {
    // Standard error is closed; the exit status must do.
  }
}

int usage_error(const UsageError& error, const Command& command, std::string_view name) {
  say(fmt::format("{0}\n\nUsage:  bryo {1} {2}\n\nRun 'bryo {1} --help' for more information\n", error.message, name,
                  command.usage));
  return kUsageStatus;
}

std::string wrong_count(const Command& command, std::size_t count) {
  const auto plural = [](std::size_t n) { return n == 1 ? "argument" : "arguments"; };
  if (command.maximum == 0) return "accepts no arguments";
  if (command.minimum == command.maximum)
    return fmt::format("requires {} {}", command.minimum, plural(command.minimum));
  if (command.maximum == Command::kAny)
    return fmt::format("requires at least {} {}", command.minimum, plural(command.minimum));
  if (command.minimum == 0) return fmt::format("requires at most {} {}", command.maximum, plural(command.maximum));
  (void)count;
  return fmt::format("requires at least {} and at most {} arguments", command.minimum, command.maximum);
}

// nullopt: the number of words is right.
std::optional<int> check_count(const Command& command, const Arguments& arguments, std::string_view name) {
  const std::size_t count = arguments.words().size();
  if (count >= command.minimum && count <= command.maximum) return std::nullopt;
  const bool open_ended = command.maximum == Command::kAny;
  say(fmt::format("bryo: 'bryo {0}' {1}\n\nUsage:  bryo {0} {2}\n\n{3} 'bryo {0} --help' for more information\n", name,
                  wrong_count(command, count), command.usage, open_ended ? "See" : "Run"));
  return 1;
}

int report(const Error& error, const Command& command, std::string_view name) {
  constexpr int kPlain = 1;  // not about the container
  if (!command.starts_container || error.exit_code() == kPlain) {
    say(error.message() + "\n");
    return error.exit_code() != 0 ? error.exit_code() : 1;
  }
  say(fmt::format("bryo: {}\n\nRun 'bryo {} --help' for more information\n", error.message(), name));
  return error.exit_code() != 0 ? error.exit_code() : kUsageStatus;
}

int run_command(const Match& match, std::span<const std::string> line, const Arguments& global) {
  const Command& command = *match.command;
  const std::array<OptionTable, 2> tables = {command.options, command.more};
  Arguments arguments;
  try {
    arguments = Arguments::parse(tables, line.subspan(match.words), command.interspersed);
  } catch (const UsageError& error) {
    return usage_error(error, command, match.name);
  }
  if (arguments.help()) {
    write_fully(STDOUT_FILENO, command_help(command, match.name));
    return 0;
  }
  if (const auto status = check_count(command, arguments, match.name)) return *status;
  try {
    Context context(global);
    context.name = match.name;
    int status = 0;
    try {
      status = command.run(context, arguments);
    } catch (const Error&) {
      context.out.flush();  // what was said before the failure comes first
      throw;
    }
    context.out.flush();
    return status;
  } catch (const UsageError& error) {
    return usage_error(error, command, match.name);
  } catch (const Error& error) {
    return report(error, command, match.name);
  }
}

int unknown_command(std::span<const std::string> line, const Match& match) {
  if (match.group != nullptr) {
    say(fmt::format(
        "bryo: unknown command: bryo {0} {1}\n\nUsage:  bryo {0}\n\nRun 'bryo {0} --help' for more information\n",
        match.group->name, terminal_safe(line[1])));
  } else {
    say(fmt::format("bryo: unknown command: bryo {}\n\nRun 'bryo --help' for more information\n",
                    terminal_safe(line[0])));
  }
  return 1;
}

bool is_help(const std::string& word) { return word == "--help" || word == "-h" || word == "help"; }

std::string help_for(std::span<const std::string> line) {
  const Match match = find_command(line);
  if (match.command != nullptr) return command_help(*match.command, match.name);
  return match.group != nullptr ? group_help(*match.group) : program_help();
}

int run_line(std::span<const std::string> line) {
  const std::array<OptionTable, 1> tables = {kGlobalOptions};
  const Arguments global = Arguments::parse(tables, line, false);
  const std::vector<std::string>& words = global.words();
  if (global.flag("version")) {
    write_fully(STDOUT_FILENO, "Bryo version " BRYO_VERSION "\n");
    return 0;
  }
  if (global.help() || words.empty() || words[0] == "help") {
    const std::span<const std::string> rest =
        words.empty() ? std::span<const std::string>() : std::span(words).subspan(1);
    write_fully(STDOUT_FILENO, help_for(rest));
    return 0;
  }
  const Match match = find_command(words);
  if (match.command != nullptr) return run_command(match, words, global);
  if (match.group == nullptr || (words.size() > 1 && !is_help(words[1]))) return unknown_command(words, match);
  // Only asked for, help is an answer; else it is a complaint.
  write_fully(words.size() > 1 ? STDOUT_FILENO : STDERR_FILENO, group_help(*match.group));
  return 0;
}

}  // namespace

int run_program(std::span<const std::string> line) {
  try {
    return run_line(line);
  } catch (const UsageError& error) {
    say(fmt::format("{}\n\nUsage:  bryo [OPTIONS] COMMAND [ARG...]\n\nRun 'bryo --help' for more information\n",
                    error.message));
    return kUsageStatus;
  } catch (const std::exception& error) {
    say(fmt::format("bryo: {}\n", error.what()));
    return 1;
  }
}

}  // namespace bryo::cli

#include "cli/commands/completion_texts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/strings.hpp"
#include "cli/commands/command.hpp"
#include "cli/commands/context.hpp"

namespace bryo::cli {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kKinds = {
    {{"CONTAINER", "containers"}, {"IMAGE", "images"}, {"NETWORK", "networks"}, {"VOLUME", "volumes"}}};

void add_options(std::vector<CompletedOption>& out, OptionTable table) {
  for (const Option& option : table) {
    if (option.help.empty()) continue;
    const bool takes_value = option.kind != nullptr && option.kind->type[0] != '\0';
    out.push_back({fmt::format("--{}", option.name), takes_value, option.help});
    if (option.letter != 0) out.push_back({fmt::format("-{}", option.letter), takes_value, option.help});
  }
}

std::string words_of(const std::vector<CompletedOption>& options, bool with_value_only) {
  std::string out;
  for (const CompletedOption& option : options)
    if (option.takes_value || !with_value_only) out += (out.empty() ? "" : " ") + option.word;
  return out;
}

std::string kinds_of(const CompletedCommand& command) {
  std::string out;
  for (const std::string_view kind : command.kinds) out += fmt::format("{}{}", out.empty() ? "" : " ", kind);
  return out;
}

std::string case_pattern(const CompletedCommand& command) {
  std::string out;
  for (const std::string& name : command.names) out += fmt::format("{}\"{}\"", out.empty() ? "" : "|", name);
  return out;
}

// "ps" for "", "ls" for "container": what may come next, with its summary.
std::vector<std::pair<std::string, std::string_view>> next_words(std::string_view group) {
  std::vector<std::pair<std::string, std::string_view>> out;
  for (const CompletedCommand& command : completed_commands())
    for (const std::string& name : command.names) {
      const auto blank = name.find(' ');
      if (group.empty() && blank == std::string::npos) out.emplace_back(name, command.summary);
      if (!group.empty() && blank != std::string::npos && name.substr(0, blank) == group)
        out.emplace_back(name.substr(blank + 1), command.summary);
    }
  if (group.empty())
    for (const Group& one : groups()) out.emplace_back(one.name, one.summary);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.first == b.first; }),
            out.end());
  return out;
}

std::string plain_next_words(std::string_view group) {
  std::string out;
  for (const auto& [word, summary] : next_words(group)) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::string group_pattern() {
  std::string out;
  for (const Group& group : groups()) out += fmt::format("{}{}", out.empty() ? "" : "|", group.name);
  return out;
}

std::string single_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string global_options(bool with_value_only) {
  std::vector<CompletedOption> options;
  add_options(options, kGlobalOptions);
  return words_of(options, with_value_only);
}

// What the shells' functions ask the engine with: bash and zsh say it alike.
constexpr std::string_view kAskEngine = R"sh(_bryo_names() {
  local kind
  for kind in "$@"; do
    case "$kind" in
      containers) bryo container ls --all --format '{{.Names}}' ;;
      images) bryo image ls --format '{{.Repository}}:{{.Tag}}' ;;
      networks) bryo network ls --format '{{.Name}}' ;;
      volumes) bryo volume ls --quiet ;;
    esac
  done 2>/dev/null
}
)sh";

// "options"; "valued"; "kinds" of the command in $command.
std::string command_cases(std::string_view indent) {
  std::string out;
  for (const CompletedCommand& command : completed_commands())
    out += fmt::format("{0}{1}) options={2}; valued={3}; kinds={4} ;;\n", indent, case_pattern(command),
                       single_quoted(words_of(command.options, false) + " --help"),
                       single_quoted(words_of(command.options, true)), single_quoted(kinds_of(command)));
  return out;
}

std::string group_cases(std::string_view indent) {
  std::string out;
  for (const Group& group : groups())
    out += fmt::format("{}{}) subcommands={} ;;\n", indent, group.name, single_quoted(plain_next_words(group.name)));
  return out;
}

}  // namespace

std::vector<CompletedCommand> completed_commands() {
  std::vector<CompletedCommand> out;
  for (const Command* command : catalogue()) {
    CompletedCommand& one = out.emplace_back();
    for (const std::string_view name : split(command->names, '|')) one.names.emplace_back(name);
    one.summary = command->summary;
    add_options(one.options, command->options);
    add_options(one.options, command->more);
    for (const auto& [word, kind] : kKinds)
      if (command->usage.find(word) != std::string_view::npos) one.kinds.push_back(kind);
  }
  return out;
}

std::string bash_completion() {
  return fmt::format(R"sh(# Completion of bryo for bash: made by `bryo completion bash`.
{ask}
_bryo() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}"
  local command= options={global} valued={global_valued} kinds= subcommands={top} word i
  # The words before the cursor that are no options and no values of options are the command's name.
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${{COMP_WORDS[i]}}"
    case "$word" in
      -*=*) continue ;;
      -*) [[ " $valued " == *" $word "* ]] && ((i++)); continue ;;
    esac
    case "$command" in
      "") command="$word" ;;
      {groups}) command="$command $word" ;;
      *) break ;;
    esac
    options= valued= kinds= subcommands=
    case "$command" in
{commands}    esac
    case "$command" in
{group_cases}    esac
  done
  compopt -o default 2>/dev/null
  if [[ "$current" == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ " $valued " == *" $previous "* ]]; then
    COMPREPLY=()
  elif [[ -n "$subcommands" ]]; then
    COMPREPLY=($(compgen -W "$subcommands" -- "$current"))
  elif [[ -n "$kinds" ]]; then
    COMPREPLY=($(compgen -W "$(_bryo_names $kinds)" -- "$current"))
    type __ltrim_colon_completions >/dev/null 2>&1 && __ltrim_colon_completions "$current"
  fi
}}
complete -F _bryo bryo
)sh",
                     fmt::arg("ask", kAskEngine), fmt::arg("global", single_quoted(global_options(false) + " --help")),
                     fmt::arg("global_valued", single_quoted(global_options(true))),
                     fmt::arg("top", single_quoted(plain_next_words(""))), fmt::arg("groups", group_pattern()),
                     fmt::arg("commands", command_cases("      ")), fmt::arg("group_cases", group_cases("      ")));
}

std::string zsh_completion() {
  return fmt::format(R"sh(#compdef bryo
# Completion of bryo for zsh: made by `bryo completion zsh`.
{ask}
_bryo() {{
  local current="$words[CURRENT]" previous="$words[CURRENT-1]"
  local command= options={global} valued={global_valued} kinds= subcommands={top} word
  integer i
  for ((i = 2; i < CURRENT; i++)); do
    word="$words[i]"
    case "$word" in
      -*=*) continue ;;
      -*) [[ " $valued " == *" $word "* ]] && ((i++)); continue ;;
    esac
    case "$command" in
      "") command="$word" ;;
      {groups}) command="$command $word" ;;
      *) break ;;
    esac
    options= valued= kinds= subcommands=
    case "$command" in
{commands}    esac
    case "$command" in
{group_cases}    esac
  done
  if [[ "$current" == -* ]]; then
    compadd -- ${{=options}}
  elif [[ " $valued " == *" $previous "* ]]; then
    _files
  elif [[ -n "$subcommands" ]]; then
    compadd -- ${{=subcommands}}
  elif [[ -n "$kinds" ]]; then
    compadd -- ${{(f)"$(_bryo_names ${{=kinds}})"}}
  else
    _files
  fi
}}
if [[ "$funcstack[1]" == _bryo ]]; then
  _bryo "$@"
else
  compdef _bryo bryo
fi
)sh",
                     fmt::arg("ask", kAskEngine), fmt::arg("global", single_quoted(global_options(false) + " --help")),
                     fmt::arg("global_valued", single_quoted(global_options(true))),
                     fmt::arg("top", single_quoted(plain_next_words(""))), fmt::arg("groups", group_pattern()),
                     fmt::arg("commands", command_cases("      ")), fmt::arg("group_cases", group_cases("      ")));
}

namespace {

constexpr std::string_view kFishStart = R"fish(# Completion of bryo for fish: made by `bryo completion fish`.
function __bryo_names
    for kind in $argv
        switch $kind
            case containers
                bryo container ls --all --format '{{.Names}}' 2>/dev/null
            case images
                bryo image ls --format '{{.Repository}}:{{.Tag}}' 2>/dev/null
            case networks
                bryo network ls --format '{{.Name}}' 2>/dev/null
            case volumes
                bryo volume ls --quiet 2>/dev/null
        end
    end
end

# The command line so far begins with these words.
function __bryo_is
    set -l words (commandline -opc)
    set -e words[1]
    set -l plain
    for word in $words
        string match -q -- '-*' $word; or set -a plain $word
    end
    test (count $plain) -ge (count $argv); or return 1
    test "$plain[1..$(count $argv)]" = "$argv"
end

function __bryo_is_bare
    set -l words (commandline -opc)
    set -e words[1]
    not string match -qv -- '-*' $words
end

function __bryo_is_group
    set -l words (commandline -opc)
    test (count $words) -eq 2; and test "$words[2]" = "$argv[1]"
end

)fish";

std::string fish_option(const std::string& condition, const CompletedOption& option) {
  const bool is_long = option.word.starts_with("--");
  return fmt::format("complete -c bryo -n {} {} {}{} -d {}\n", condition, is_long ? "-l" : "-s",
                     option.word.substr(is_long ? 2 : 1), option.takes_value ? " -r" : "", single_quoted(option.help));
}

}  // namespace

std::string fish_completion() {
  std::string out(kFishStart);
  for (const auto& [word, summary] : next_words(""))
    out += fmt::format("complete -c bryo -n __bryo_is_bare -f -a {} -d {}\n", word, single_quoted(summary));
  for (const Group& group : groups())
    for (const auto& [word, summary] : next_words(group.name))
      out += fmt::format("complete -c bryo -n '__bryo_is_group {}' -f -a {} -d {}\n", group.name, word,
                         single_quoted(summary));
  std::vector<CompletedOption> global;
  add_options(global, kGlobalOptions);
  for (const CompletedOption& option : global) out += fish_option("__bryo_is_bare", option);
  for (const CompletedCommand& command : completed_commands())
    for (const std::string& name : command.names) {
      const std::string condition = single_quoted("__bryo_is " + name);
      for (const CompletedOption& option : command.options) out += fish_option(condition, option);
      if (!command.kinds.empty())
        out += fmt::format("complete -c bryo -n {} -f -a '(__bryo_names {})'\n", condition, kinds_of(command));
    }
  return out;
}

}  // namespace bryo::cli

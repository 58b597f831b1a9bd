// top, diff: small looks at one container.
#include "base/strings.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/escape.hpp"
#include "cli/format/tabwriter.hpp"

namespace bryo::cli {
namespace {

int run_top(Context& context, const Arguments& arguments) {
  const auto& words = arguments.words();
  const std::string options = join(std::span(words).subspan(1), " ");
  const json::Value table =
      context.client()
          .get(container_path(words[0], "/top") + Query().add_if(!options.empty(), "ps_args", options).str())
          .json();
  const auto row = [](const std::vector<std::string>& cells) {
    std::vector<std::string> safe;
    for (const std::string& cell : cells) safe.push_back(terminal_safe(cell));
    return join(safe, "\t") + "\n";
  };
  std::string text = row(texts_at(table, "Titles"));
  for (const json::Value& process : array_at(table, "Processes")) text += row(texts_at(process, ""));
  context.out.write(align_tabs(text, {20, 3}));
  return 0;
}

int run_diff(Context& context, const Arguments& arguments) {
  const json::Value changes = context.client().get(container_path(arguments.words()[0], "/changes")).json();
  for (const json::Value& change : array_at(changes, "")) {
    const std::int64_t kind = number_at(change, "Kind");
    context.out.print("{} {}\n", kind == 0 ? "C" : kind == 1 ? "A" : "D", terminal_safe(text_at(change, "Path")));
  }
  return 0;
}

}  // namespace

const Command kTop = {.names = "top|container top",
                      .usage = "CONTAINER [ps OPTIONS]",
                      .summary = "Show the processes of a container",
                      .minimum = 1,
                      .run = run_top,
                      .interspersed = false};
const Command kDiff = {.names = "diff|container diff",
                       .usage = "CONTAINER",
                       .summary = "Show what changed in a container's file system",
                       .minimum = 1,
                       .maximum = 1,
                       .run = run_diff};

}  // namespace bryo::cli

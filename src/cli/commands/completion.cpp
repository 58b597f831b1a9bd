#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/completion_texts.hpp"
#include "cli/commands/context.hpp"

namespace bryo::cli {
namespace {

int run_completion(Context& context, const Arguments& arguments) {
  const std::string& shell = arguments.words()[0];
  if (shell == "bash")
    context.out.write(bash_completion());
  else if (shell == "zsh")
    context.out.write(zsh_completion());
  else if (shell == "fish")
    context.out.write(fish_completion());
  else
    fail(ErrorKind::invalid_argument, "no completion for \"{}\": bash, zsh and fish have one", printable(shell));
  return 0;
}

}  // namespace

const Command kCompletion = {.names = "completion",
                             .usage = "SHELL",
                             .summary = "Print completion of command lines for bash, zsh or fish",
                             .minimum = 1,
                             .maximum = 1,
                             .run = run_completion};

}  // namespace bryo::cli

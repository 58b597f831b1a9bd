#include "cli/commands/catalogue.hpp"
#include "cli/commands/context.hpp"
#include "cli/setup/run.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {{"data-root", 0, &kText, "", "Where images will be kept", "bryod's own choice"},
                            {"format", 'f', &kText, "", "text or json", "\"text\""}};

int run_doctor(Context& context, const Arguments& arguments) {
  std::vector<std::string> command{host_program(own_program_directory()), "doctor"};
  for (const char* option : {"data-root", "format"})
    if (arguments.given(option)) {
      command.push_back(std::string("--") + option);
      command.push_back(arguments.text(option));
    }
  context.out.flush();
  return run_openly(command);
}

}  // namespace

const Command kDoctor = {.names = "doctor",
                         .usage = "[OPTIONS]",
                         .summary = "Examine this host: what containers need, what is missing, and how to mend it",
                         .options = kRows,
                         .maximum = 0,
                         .run = run_doctor};

}  // namespace bryo::cli

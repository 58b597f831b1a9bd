#include "rootless/command/program.hpp"

#include <signal.h>

#include <cstdio>

#include "base/error.hpp"
#include "base/log.hpp"
#include "rootless/command/options.hpp"
#include "rootless/command/parent.hpp"

namespace bryo::rootless::command {

int run_program(const std::vector<std::string>& words) {
  try {
    const Options options = Options::parse(words);
    if (options.help) {
      std::fputs(help_text().c_str(), stdout);
      return 0;
    }
    if (options.version) {
      std::puts("bryo-rootless version " BRYO_VERSION);
      return 0;
    }
    log::set_level(options.debug ? log::Level::debug : log::Level::warning);
    ::signal(SIGPIPE, SIG_IGN);
    return run_parent(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bryo-rootless: %s\n", error.what());
    return 1;
  }
}

}  // namespace bryo::rootless::command

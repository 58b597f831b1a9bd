#include <fcntl.h>
#include <unistd.h>

#include <vector>

#include "cli/commands/program.hpp"

namespace {

// A caller may close standard streams; a socket to the daemon must not get their numbers.
void open_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
    if (::fcntl(fd, F_GETFD) < 0) ::open("/dev/null", O_RDWR);  // the lowest free number: this one
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  const std::vector<std::string> line(argv + (argc > 0 ? 1 : 0), argv + argc);
  return bryo::cli::run_program(line);
}

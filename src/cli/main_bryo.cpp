#include <vector>

#include "cli/commands/program.hpp"

int main(int argc, char** argv) {
  const std::vector<std::string> line(argv + (argc > 0 ? 1 : 0), argv + argc);
  return bryo::cli::run_program(line);
}

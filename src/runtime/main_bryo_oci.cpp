#include "runtime/command/context.hpp"

int main(int argc, char** argv) { return bryo::runtime::command::run_program(argc, argv); }

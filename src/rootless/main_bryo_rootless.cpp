// bryo-rootless: runs a command as root of a user namespace of an ordinary user. See docs/bryo-rootless.md.
#include "rootless/command/program.hpp"

int main(int argc, char** argv) { return bryo::rootless::command::run_program({argv + 1, argv + argc}); }

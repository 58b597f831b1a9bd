// bryo-rootless as a program: its words in, its exit status out.
#pragma once

#include <string>
#include <vector>

namespace bryo::rootless::command {

int run_program(const std::vector<std::string>& words);

}  // namespace bryo::rootless::command

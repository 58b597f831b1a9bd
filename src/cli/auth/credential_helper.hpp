// docker-credential-NAME: a program that keeps credentials. It is asked for one registry, and what it answers is used
// for that registry only.
#pragma once

#include <string>

#include "cli/auth/config_file.hpp"

namespace bryo::cli {

// Empty when the helper has none; throws Error{unavailable} when it is missing or fails.
Credentials helper_get(const std::string& helper, const std::string& registry);
void helper_store(const std::string& helper, const std::string& registry, const Credentials& credentials);
void helper_erase(const std::string& helper, const std::string& registry);

}  // namespace bryo::cli

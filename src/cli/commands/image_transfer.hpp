// Pulling, with what `pull`, `run` and `create` say about it.
#pragma once

#include <string>

#include "cli/auth/reference.hpp"
#include "cli/commands/context.hpp"

namespace bryo::cli {

// Progress goes to `out`; nothing is shown when `quiet`. An untagged reference without `all_tags` means latest.
void pull_image(Context& context, const Reference& reference, const std::string& platform, bool all_tags, bool quiet,
                Output& out);
// X-Registry-Auth for the registry of this reference.
std::string auth_for(Context& context, const Reference& reference);

}  // namespace bryo::cli

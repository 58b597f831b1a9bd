// POST /containers/create with all that surrounds it: pulling a missing image, the id file, warnings.
#pragma once

#include <string>

#include "cli/commands/context.hpp"
#include "cli/options/create_options.hpp"

namespace bryo::cli {

// The new container's id.
std::string create_container(Context& context, const Arguments& arguments, const CreateRequest& request);

}  // namespace bryo::cli

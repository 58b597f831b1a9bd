// The options of `run` and `create`, and the body of POST /containers/create that they make.
#pragma once

#include <string>

#include "cli/options/option.hpp"

namespace bryo::cli {

extern const OptionTable kCreateOptions;

struct CreateRequest {
  json::Object body;
  std::string name;
  std::string platform;
  std::string image;
};

// words: IMAGE [COMMAND ARG…]. `detached`: run -d. `api_minor` decides where newer fields go. Throws Error in Docker's
// words (without the leading "docker: "); reads the files that options name.
CreateRequest build_create_request(const Arguments& arguments, bool detached, int api_minor);

// "always", "on-failure:5" → {"Name": …, "MaximumRetryCount": …}; also for `update`.
json::Value parse_restart_policy(const std::string& text);

}  // namespace bryo::cli

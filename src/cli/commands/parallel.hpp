// One request for each of several names, sent together: stopping ten containers takes as long as the slowest, not the
// sum.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "cli/commands/context.hpp"

namespace bryo::cli {

using RequestFor = std::function<Request(const std::string&)>;

// `make` builds the request; names are printed, or their failures reported, in the order given. 1 when any failed.
int request_for_each(Context& context, const std::vector<std::string>& names, const RequestFor& make);
// The same; a failure of kind `harmless` is reported and does not count.
int request_for_each(Context& context, const std::vector<std::string>& names, ErrorKind harmless,
                     const RequestFor& make);

inline Request make_request(std::string method, std::string target) {
  Request request;
  request.method = std::move(method);
  request.target = std::move(target);
  return request;
}

}  // namespace bryo::cli

// Subordinate ids that another service than "files" hands out (`subid: sss` in nsswitch.conf), through libsubid of
// shadow-utils. The library is opened when it is first needed: a host without such a service needs no such library.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ids/subordinate.hpp"

namespace bryo::ids {

// The service named by the `subid:` line, nullopt for "files" and for no line (then the files are the answer).
std::optional<std::string> subid_service(std::string_view nsswitch);
// What libsubid says about this user. Error{unsupported} when nsswitch.conf wants a service and the library is missing.
std::vector<SubRange> libsubid_ranges(IdKind kind, const User& user, const std::string& service);

}  // namespace bryo::ids

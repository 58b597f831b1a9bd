// Removes what bryod of this user left: trees with files of subordinate ids, which the user alone may not touch.
#pragma once

#include <string>
#include <vector>

namespace bryo::rootless::doctor {

// Absolute paths; what is not there is fine. For an ordinary user this process becomes root in a user namespace with
// all of the user's ids first. Error{conflict} names a mount below, with all else gone.
void remove_data(const std::vector<std::string>& paths);

}  // namespace bryo::rootless::doctor

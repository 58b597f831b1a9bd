// Intel's Resource Director Technology through the resctrl file system (Documentation/filesystems/resctrl.rst): a class
// of service is a directory with a list of tasks and a schema of what they may use of caches and memory bandwidth.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace bryo::kernel {

struct ResctrlGroup {
  std::string path;                   // the directory of the class
  bool may_make = false;              // else it must be there
  std::vector<std::string> schemata;  // lines; a class that is there must have them already
  std::string monitor;                // name of a monitoring group to be made in it; empty = none
};

// Where the file system is mounted; "" when it is not.
std::string find_resctrl();
// Puts the process into the class. On failure nothing that was made for it is left.
void enter_resctrl(const ResctrlGroup& group, pid_t pid);
// Removes the directory of a class or of a monitoring group. What is not there is fine.
void remove_resctrl(const std::string& path);

}  // namespace bryo::kernel

// What the drivers of the user-mode network share.
#pragma once

#include <string>
#include <string_view>

#include "base/unique_fd.hpp"
#include "kernel/start_program.hpp"
#include "rootless/network_drivers.hpp"

namespace bryo::rootless {

inline constexpr int kReadyPatience = 15000;  // ms
inline constexpr int kNetnsDescriptor = 5;    // of the programs of others

// <state directory>/usernet.log. What the process has written since is the reason when it fails.
class ProcessLog {
 public:
  explicit ProcessLog(const std::string& state_directory);
  int descriptor() const { return file_.get(); }
  std::string words() const;

 private:
  UniqueFd directory_, file_;
  off_t offset_;
};

kernel::StartedProgram start_outside(const DriverStart& start, const kernel::ProgramStart& program);
void end_program(const kernel::StartedProgram& program);
// Where it is; Error{not_found} names the package.
std::string installed_program(const std::string& name, std::string_view package);
// Of drivers that open all of the host's loopback or nothing.
void refuse_single_ports(const UserNetworkOptions& options, std::string_view name);
// The namespace, as a program finds it that has it as kNetnsDescriptor.
std::string netns_path();
// Addresses, routes, and up: inside.
void configure_interface(const DriverStart& start);

}  // namespace bryo::rootless

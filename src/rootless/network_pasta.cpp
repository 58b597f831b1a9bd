// The driver pasta (passt.top), by its manual page pasta(1).
#include <fcntl.h>
#include <unistd.h>

#include "base/error.hpp"
#include "rootless/network_drivers.hpp"

namespace bryo::rootless {

kernel::StartedProgram start_pasta(const DriverStart&) { fail(ErrorKind::unsupported, "pasta: not yet"); }

}  // namespace bryo::rootless

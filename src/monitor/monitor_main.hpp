// What a monitor program does apart from how it starts processes: for main_bryo_monitor.cpp, and for the test program
// with a launcher that needs no root.
#pragma once

#include "monitor/launcher.hpp"

namespace bryo::monitor {

// Serves the control connection on descriptor 3 until everything is done; the program's exit status.
int run_monitor(Launcher& launcher);

}  // namespace bryo::monitor

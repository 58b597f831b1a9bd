// Monitors that restore() has found and not reached (stopped, or slower than its patience): their containers may run.
#pragma once

#include "engine/container.hpp"
#include "engine/services.hpp"

namespace bryo::engine {

// Before a container is started or removed. Error{conflict} while such a monitor of it lives.
void check_answered(const Services& services, const Container& container);

}  // namespace bryo::engine

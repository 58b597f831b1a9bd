// Values in the text form of GVariant ("uint64 5", "['a', 'b']", "@as []"), which annotations of the form
// org.systemd.property.NAME hold. Pure. Source: GLib's "GVariant Text Format". Maybe types are refused: D-Bus has none.
#pragma once

#include <string_view>

#include "kernel/bus_message.hpp"

namespace bryo::runtime::command {

using kernel::BusTree;

// Error{invalid_argument} says what is wrong and where. A number that does not say its type is an int32, one with a
// point or an exponent a double.
BusTree parse_gvariant(std::string_view text);

}  // namespace bryo::runtime::command

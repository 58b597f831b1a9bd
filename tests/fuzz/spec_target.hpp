// What every input must do, whoever makes it up: be planned, or be refused with an Error that says what is wrong. Never
// another exception, never an allocation by the size of a lie, and what is planned survives the way to the monitor.
#pragma once

#include <string>
#include <string_view>

namespace bryo::fuzz {

// The text of the refusal; "" when config.json was planned. Ends the program where a promise is broken.
std::string plan_config(std::string_view text);

}  // namespace bryo::fuzz

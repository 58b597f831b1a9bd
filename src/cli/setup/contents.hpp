// What an installation consists of.
#pragma once

#include <string>
#include <vector>

#include "cli/setup/installation.hpp"
#include "cli/setup/places.hpp"

namespace bryo::cli {

// The programs that lie beside each other. Error{not_found} names one that is not in `source`.
std::vector<WantedFile> program_files(const SetupPlaces& places, const std::string& source);
// systemd's unit of the user, or the units and defaults of the machine; they start the programs of `places`.
std::vector<WantedFile> unit_files(const SetupPlaces& places);
// The context "bryo", as the docker client keeps contexts. Empty for the machine.
std::vector<WantedFile> docker_context_files(const SetupPlaces& places);

// A word of a command line in a unit file: quoted where it must be, % doubled (systemd.service(5), "Command lines").
std::string unit_word(const std::string& path);

}  // namespace bryo::cli

// Volumes as the rows of `volume ls` and `system df -v`.
#pragma once

#include "cli/format/listing.hpp"

namespace bryo::cli {

Row volume_row(const json::Value& volume);
extern const ListStyle kVolumeStyle;

}  // namespace bryo::cli

// Mount points that every container needs and many images lack: /dev, /proc, /sys, /etc/hosts, … (Docker's "init"
// layer). They lie between the image and the container's own changes, so that neither `docker diff` nor `docker commit`
// shows them.
#pragma once

#include <string>

#include "storage/merged_directory.hpp"

namespace bryo::storage {

// Fills the empty directory `into` with what `image` lacks, directories with the image's own attributes. Names on whose
// way the image has a link are left to the runtime, which refuses what would be redirected (CVE-2026-41579).
void fill_init_layer(const MergedDirectory& image, int into);

}  // namespace bryo::storage

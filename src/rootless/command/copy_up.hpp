// --copy-up: a directory of the host becomes writable for the command, in its own mount namespace only. Directories
// below it stay what they are: a file system of the host cannot be written to by this.
#pragma once

#include <string>

#include "rootless/command/options.hpp"

namespace bryo::rootless::command {

// symlinks: a tmpfs with links to what was there, which lives on below .ro…
// overlay: what was there under an overlay with a tmpfs above, the mounts below it on top; sockets and devices of the
// host in it are not reached this way. Falls back to links, with a warning, where the kernel refuses.
// Error names the directory.
void copy_up(const std::string& directory, CopyUpMode mode);

// resolv.conf(5) of a network whose name server is `dns`: search domains and options are the host's.
std::string resolv_conf_text(const std::string& host_text, const std::string& dns);
// Puts `text`, which is also in the file `made`, in the place of /etc/resolv.conf: writes it where /etc was copied up,
// else mounts `made` over it.
void replace_resolv_conf(const std::string& text, const std::string& made, bool etc_is_ours);

}  // namespace bryo::rootless::command

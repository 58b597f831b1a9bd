// Follows the host's /etc/resolv.conf (inotify(7)): changed in place, renamed over, or a link whose target or whose
// directories come and go.
#pragma once

#include <string>

#include "base/unique_fd.hpp"

namespace bryo::rootless::usernet {

class ResolverWatch {
 public:
  explicit ResolverWatch(std::string path);
  // Readable when something near the file happened; -1 when the kernel gives no watch: then look now and then.
  int descriptor() const { return inotify_.get(); }
  // The file as it is now ("" when there is none), and waits for what happens from here on.
  std::string read();
  void close() { inotify_.reset(); }

 private:
  void watch_chain();

  std::string path_;
  UniqueFd inotify_;
};

}  // namespace bryo::rootless::usernet

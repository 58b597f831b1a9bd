// The daemon's process id in a file, so that scripts can signal it and a second daemon notices the first.
#pragma once

#include <string>

namespace bryo::daemon {

class Pidfile {
 public:
  // Throws Error{conflict} when the file names a bryod that still runs; a stale file is replaced.
  explicit Pidfile(std::string path);
  // Removes the file if it is still ours.
  ~Pidfile();
  Pidfile(const Pidfile&) = delete;
  Pidfile& operator=(const Pidfile&) = delete;

 private:
  std::string path_;
};

}  // namespace bryo::daemon

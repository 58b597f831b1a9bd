// The engine as a service of systemd, or as a process that somebody started by hand.
#pragma once

#include <string>

#include "cli/setup/places.hpp"

namespace bryo::cli {

class Service {
 public:
  explicit Service(const SetupPlaces& places) : places_(places) {}

  // systemd, or the caller's user manager, answers.
  bool managed() const;
  // Starts it now and at every boot or login; one that runs is started again, with the new programs. Error says what
  // systemctl said.
  void start() const;
  // Ends it, and takes it out of the boot. Containers go on. Waits for its end; Error{unavailable} when it does not.
  void stop() const;
  // After files of units have gone.
  void forget() const;
  // The process of our bryod (its program is the one in `places`), 0 when there is none.
  int process() const;
  // For people: how to start it without systemd.
  std::string start_command() const;

 private:
  int systemctl(std::initializer_list<const char*> words, bool must) const;
  const SetupPlaces& places_;
};

}  // namespace bryo::cli

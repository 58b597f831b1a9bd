// Bundles of containers with hooks: <exec-root>/bundles/<id> with the config.json that hooks read. They are there from
// a start until the monitor has run the poststop hooks and removed them, and so remember, when the monitor has been
// killed, what is left to do. Containers without hooks have none.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "engine/record.hpp"
#include "monitor/types.hpp"
#include "oci/runtime_spec.hpp"

namespace bryo::engine {

// Does the spec ask for one?
bool needs_bundle(const oci::RuntimeSpec& spec);

class Bundles {
 public:
  explicit Bundles(const std::string& exec_root) : root_(exec_root + "/bundles") {}

  // Waits for the end of the last run's. Hooks without a timeout get one: nobody can end a start that hangs.
  // `resctrl`: where that file system is.
  monitor::Bundle make(const Record& record, oci::RuntimeSpec spec, const std::string& resctrl) const;
  // Of a run whose monitor is gone: the poststop hooks, and what else the monitor would have removed; logs what fails.
  // False: there still is a monitor, which will do it itself.
  bool settle(const std::string& id) const;
  // The same, when the monitor is known to be on its way out.
  bool settle(const std::string& id, std::chrono::milliseconds patience) const;
  std::vector<std::string> list() const;

 private:
  void finish(const std::string& id, const std::string& config) const;

  const std::string root_;
};

}  // namespace bryo::engine

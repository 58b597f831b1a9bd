// Health checks: a probe run in the container at every interval; its last results are in inspect, and changes are
// events. Thread-safe.
#pragma once

#include "engine/execs.hpp"
#include "engine/services.hpp"

namespace bryo::engine {

class HealthChecks {
 public:
  HealthChecks(Services& services, Execs& execs) : s_(services), execs_(execs) {}
  void came_up(const ContainerPtr& container);
  void went_down(const ContainerPtr& container);

 private:
  struct Check;
  struct ProbeResult {
    int code = 0;
    std::string output;
  };

  void schedule(const std::shared_ptr<Check>& check);
  void probe(const std::shared_ptr<Check>& check);
  ProbeResult run(const Check& check);
  void record(const std::shared_ptr<Check>& check, const ProbeResult& result, WallTime start);

  Services& s_;
  Execs& execs_;
};

}  // namespace bryo::engine

// Volumes as use cases: docker volume ls, inspect, create, rm, prune.
#pragma once

#include "engine/services.hpp"
#include "engine/types/requests.hpp"

namespace bryo::engine {

class VolumeUses {
 public:
  explicit VolumeUses(Services& services) : s_(services) {}
  json::Value list(const Filters& filters);
  json::Value inspect(std::string_view name);
  json::Value create(const VolumeCreateRequest& request);
  void remove(std::string_view name, bool force);
  json::Value prune(const Filters& filters);
  // With UsageData, for system df.
  json::Value disk_usage();

 private:
  // Ids of the containers that mount it.
  std::vector<std::string> users_of(const std::string& name) const;
  bool matches(const storage::Volume& volume, const Filters& filters) const;

  Services& s_;
};

}  // namespace bryo::engine

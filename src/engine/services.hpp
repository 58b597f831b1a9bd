// What the use cases work with: the stores, the networks, the tables, the pool. Made once, in the order of its members,
// torn down in reverse. Every member is thread-safe by itself; what they must agree on is the use cases' business.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "base/worker_pool.hpp"
#include "engine/apparmor.hpp"
#include "engine/bundles.hpp"
#include "engine/container_table.hpp"
#include "engine/events.hpp"
#include "engine/id_policy.hpp"
#include "engine/options.hpp"
#include "engine/resources.hpp"
#include "images/image_store.hpp"
#include "kernel/cgroups.hpp"
#include "monitor/log_reader.hpp"
#include "network/manager.hpp"
#include "runtime/make_plan.hpp"
#include "storage/blob_store.hpp"
#include "storage/data_root.hpp"
#include "storage/document_store.hpp"
#include "storage/layer_store.hpp"
#include "storage/snapshot_driver.hpp"
#include "storage/volume_store.hpp"

namespace bryo::engine {

// Networks as documents of kind "network" in the engine's scope.
class NetworkDocuments final : public network::Persistence {
 public:
  NetworkDocuments(storage::DocumentStore& documents, std::string scope)
      : documents_(documents), scope_(std::move(scope)) {}
  void put(std::string_view key, const json::Value& document) override;
  void erase(std::string_view key) override;
  std::vector<std::pair<std::string, json::Value>> list() override;

 private:
  storage::DocumentStore& documents_;
  std::string scope_;
};

struct Services {
  explicit Services(Options from);

  // <data-root>[/<scope>]/containers/<id>
  std::string container_directory(const std::string& id) const { return containers_directory + "/" + id; }
  // <exec-root>/containers/<id>
  std::string runtime_directory(const std::string& id) const { return runtime_root + "/" + id; }
  // Whatever is left of a run; missing is fine.
  void remove_runtime_directory(const std::string& id) const;
  storage::SnapshotName snapshot_of(const std::string& container_id) const { return {ids.scope(), container_id}; }

  // Durable when it returns.
  void save(const Record& record);
  // Durable soon: for what can be found out again.
  // `saved` is told from the store's thread: it must not block.
  void save_later(const Record& record, std::function<void()> saved = {});
  // Registries, and containers with --network host: in the host's network namespace, which without root is not ours.
  // Returns when `errand` has; throws what it throws.
  void on_host_network(const std::function<void()>& errand) const;
  // What the host of now can limit. The place of our cgroups is made again first, when somebody has ended it.
  LimitRules limit_rules() const;
  // Why there is no such cgroup controller for containers, and what changes that; "" = no cgroups at all.
  std::string cgroup_remedy(std::string_view controller) const;
  void publish(const Record& record, std::string action, Labels more = {});
  // Takes the container's lock for a moment.
  void publish(Container& container, std::string action, Labels more = {});

  Options options;
  mutable std::mutex options_mutex;  // what reload() changes: debug, labels
  storage::DataRoot data_root;
  storage::DocumentStore documents;
  IdPolicy ids;
  std::string containers_directory;
  std::string runtime_root;
  Bundles bundles;
  storage::BlobStore blobs;
  storage::LayerStore layers;
  std::unique_ptr<storage::SnapshotDriver> snapshots;
  storage::VolumeStore volumes;
  images::ImageStore images;
  kernel::CgroupLayout cgroups;
  runtime::HostFacts facts;
  std::string seccomp_profile;  // of the whole engine: "" is the default one, "unconfined", or JSON
  std::unique_ptr<AppArmor> apparmor;
  NetworkDocuments network_documents;
  network::NetworkManager networks;
  monitor::LogFollower logs;
  ContainerTable containers;
  WorkerPool pool;
  WorkerPool readers;  // what goes at the pace of a client: those who do not read keep nobody else waiting
  EventBus events;
};

// The engine's network options from its own.
network::NetworkOptions network_options(const Options& options);

}  // namespace bryo::engine

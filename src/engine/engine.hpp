// The engine: every use case of the Docker API as one blocking, thread-safe call. Who calls decides about threads; api/
// calls from its pool. `ref` is a container's or image's name, id or unambiguous id prefix.
//
// Errors: bryo::Error; texts are Docker's where clients match on them. not_modified means "already so" (304).
//
// Returned descriptors are stream sockets or pipes that the engine feeds from threads of its own until end of file; the
// caller owns them and closes its end to cancel. Callbacks given to the engine run on engine threads and must not
// block.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "base/unique_fd.hpp"
#include "engine/options.hpp"
#include "engine/types/container_views.hpp"
#include "engine/types/requests.hpp"
#include "engine/types/streams.hpp"

namespace bryo {
class ByteSource;  // base/bytes.hpp
class ByteSink;
}  // namespace bryo

namespace bryo::engine {

class Engine {
 public:
  // Opens the store, takes its lock, and finds containers that outlived an earlier bryod. Throws when the host or the
  // options do not allow it, with what to do.
  explicit Engine(Options options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Reconnects running containers, applies restart policies, starts health checks. Call once, before serving.
  void restore();
  // live_restore: leaves containers running. Otherwise stops them within shutdown_timeout.
  void shutdown();
  void reload(const Options& changed);

  // Containers
  CreateResult container_create(const CreateRequest& request);
  void container_start(std::string_view ref);
  // timeout in seconds, -1 waits for ever; nullopt: the container's own. signal "" = the container's stop signal.
  void container_stop(std::string_view ref, std::optional<int> timeout, std::string_view signal);
  void container_restart(std::string_view ref, std::optional<int> timeout, std::string_view signal);
  void container_kill(std::string_view ref, std::string_view signal);
  void container_remove(std::string_view ref, const RemoveRequest& request);
  // An addition to Docker's API: publishes and withdraws ports of a container that exists, running or not. The result
  // is NetworkSettings.Ports.
  json::Value container_add_ports(std::string_view ref, const PortMap& ports);
  json::Value container_remove_ports(std::string_view ref, const PortMap& ports);
  void container_rename(std::string_view ref, std::string_view name);
  void container_pause(std::string_view ref);
  void container_unpause(std::string_view ref);
  std::vector<std::string> container_update(std::string_view ref, const UpdateRequest& request);
  std::unique_ptr<WaitTicket> container_wait(std::string_view ref, WaitCondition condition,
                                             std::function<void(WaitResult)> done);
  ContainerInspect container_inspect(std::string_view ref, bool size);
  std::vector<ContainerSummary> container_list(const ListRequest& request);
  json::Value container_prune(const Filters& filters);
  TopResult container_top(std::string_view ref, std::string_view ps_arguments);
  std::vector<PathChange> container_changes(std::string_view ref);
  Stream container_logs(std::string_view ref, const LogsRequest& request);
  Stream container_attach(std::string_view ref, const AttachRequest& request);
  // The client of such a stream has gone on its own wish; never throws.
  void container_detached(std::string_view ref);
  void container_resize(std::string_view ref, unsigned rows, unsigned columns);
  // JSON objects, one a second when `stream`.
  UniqueFd container_stats(std::string_view ref, bool stream, bool one_shot);
  PathStat archive_stat(std::string_view ref, std::string_view path);
  // `ready` gets the stat before the first byte of the tar goes to `sink`.
  void archive_get(std::string_view ref, std::string_view path, const std::function<void(const PathStat&)>& ready,
                   ByteSink& sink);
  void archive_put(std::string_view ref, const ArchivePutRequest& request, ByteSource& source);
  void container_export(std::string_view ref, ByteSink& sink);

  // Execs
  std::string exec_create(std::string_view ref, const ExecCreateRequest& request);
  Stream exec_start(std::string_view id, const ExecStartRequest& request);  // fd empty when detached
  // The client of its stream has gone on its own wish; never throws.
  void exec_detached(std::string_view id);
  void exec_resize(std::string_view id, unsigned rows, unsigned columns);
  ExecInspect exec_inspect(std::string_view id);

  // Images. Values have the API's shape (v1.47).
  json::Value image_list(bool all, const Filters& filters, bool shared_size);
  json::Value image_inspect(std::string_view ref);
  json::Value image_history(std::string_view ref);
  void image_tag(std::string_view ref, std::string_view repository, std::string_view tag);
  json::Value image_remove(std::string_view ref, bool force, bool no_prune);
  json::Value image_prune(const Filters& filters);
  void image_pull(std::string_view image, std::string_view tag, std::string_view platform, const RegistryAuth& auth,
                  const ProgressSink& progress, const Cancelled& cancelled);
  void image_push(std::string_view image, std::string_view tag, const RegistryAuth& auth, const ProgressSink& progress,
                  const Cancelled& cancelled);
  // Returns the new image's id.
  std::string image_import(std::string_view repository, std::string_view tag, std::string_view message,
                           const std::vector<std::string>& changes, std::string_view platform, ByteSource& source);
  void image_save(const std::vector<std::string>& refs, ByteSink& sink);
  void image_load(ByteSource& source, bool quiet, const ProgressSink& progress);
  std::string commit(const CommitRequest& request);
  json::Value distribution_inspect(std::string_view ref, const RegistryAuth& auth);
  json::Value registry_login(const RegistryAuth& auth);

  // Networks
  json::Value network_list(const Filters& filters);
  json::Value network_inspect(std::string_view ref, bool verbose, std::string_view scope);
  json::Value network_create(const NetworkCreateRequest& request);  // {"Id":…, "Warning":…}
  void network_remove(std::string_view ref);
  void network_connect(std::string_view network, std::string_view container, const EndpointSettings& settings);
  void network_disconnect(std::string_view network, std::string_view container);
  json::Value network_prune(const Filters& filters);

  // Volumes
  json::Value volume_list(const Filters& filters);
  json::Value volume_inspect(std::string_view name);
  json::Value volume_create(const VolumeCreateRequest& request);
  void volume_remove(std::string_view name, bool force);
  json::Value volume_prune(const Filters& filters);

  // System
  json::Value info();
  json::Value version();
  json::Value disk_usage(const std::vector<std::string>& types);
  // Past events that match, then those that come, one JSON object a line; ends at `until`.
  UniqueFd events(const EventsRequest& request);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bryo::engine

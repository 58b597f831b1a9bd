#include "engine/engine.hpp"

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "engine/archive.hpp"
#include "engine/create.hpp"
#include "engine/health.hpp"
#include "engine/network_uses.hpp"
#include "engine/port_uses.hpp"
#include "engine/streams.hpp"
#include "engine/system_uses.hpp"
#include "engine/views.hpp"

namespace bryo::engine {

class Engine::Impl {
 public:
  explicit Impl(Options options)
      : s(std::move(options)),
        lifecycle(s),
        creator(s),
        execs(s, lifecycle),
        health(s, execs),
        archive(s),
        images(s, lifecycle),
        networks(s, lifecycle),
        ports(s, lifecycle),
        volumes(s) {
    lifecycle.exec_ended = [this](const std::string& container, const std::string& exec, int code) {
      execs.ended(container, exec, code);
    };
    lifecycle.came_up = [this](const ContainerPtr& container) { health.came_up(container); };
    lifecycle.went_down = [this](const ContainerPtr& container) {
      health.went_down(container);
      execs.container_down(container);
    };
    lifecycle.removed = [this](const ContainerPtr& container) { execs.forget(container); };
  }

  ~Impl() {  // their tasks use everything below
    s.pool.stop();
    s.readers.stop();
  }

  ContainerPtr find(std::string_view ref) const { return s.containers.find(ref); }

  Services s;
  Lifecycle lifecycle;
  Creator creator;
  Execs execs;
  HealthChecks health;
  Archive archive;
  ImageUses images;
  NetworkUses networks;
  PortUses ports;
  VolumeUses volumes;
};

Engine::Engine(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Engine::~Engine() = default;

void Engine::restore() {
  impl_->lifecycle.restore();
  impl_->s.pool.post([this] { impl_->s.images.collect_garbage(); });
}

void Engine::shutdown() {
  impl_->lifecycle.begin_shutdown();
  if (!impl_->s.options.live_restore) impl_->lifecycle.stop_all();
  impl_->s.networks.shutdown();
}

void Engine::reload(const Options& changed) {
  {
    std::lock_guard lock(impl_->s.options_mutex);
    impl_->s.options.debug = changed.debug;
    impl_->s.options.labels = changed.labels;
  }
  impl_->images.reload(changed);
  impl_->s.events.publish("daemon", "reload", "", {});
}

// Containers

CreateResult Engine::container_create(const CreateRequest& request) { return impl_->creator.create(request); }
void Engine::container_start(std::string_view ref) { impl_->lifecycle.start(impl_->find(ref)); }
void Engine::container_stop(std::string_view ref, std::optional<int> timeout, std::string_view signal) {
  impl_->lifecycle.stop(impl_->find(ref), timeout, signal);
}
void Engine::container_restart(std::string_view ref, std::optional<int> timeout, std::string_view signal) {
  impl_->lifecycle.restart(impl_->find(ref), timeout, signal);
}
void Engine::container_kill(std::string_view ref, std::string_view signal) {
  impl_->lifecycle.kill(impl_->find(ref), signal);
}
void Engine::container_remove(std::string_view ref, const RemoveRequest& request) {
  if (request.link)
    fail(ErrorKind::unsupported, "removing links is not supported: connect containers through a network");
  impl_->lifecycle.remove(impl_->find(ref), request);
}
json::Value Engine::container_add_ports(std::string_view ref, const PortMap& ports) {
  return json::encode(impl_->ports.add(impl_->find(ref), ports));
}
json::Value Engine::container_remove_ports(std::string_view ref, const PortMap& ports) {
  return json::encode(impl_->ports.remove(impl_->find(ref), ports));
}
void Engine::container_rename(std::string_view ref, std::string_view name) {
  rename_container(impl_->s, impl_->find(ref), name);
}
void Engine::container_pause(std::string_view ref) { impl_->lifecycle.pause(impl_->find(ref)); }
void Engine::container_unpause(std::string_view ref) { impl_->lifecycle.unpause(impl_->find(ref)); }
std::vector<std::string> Engine::container_update(std::string_view ref, const UpdateRequest& request) {
  return update_container(impl_->s, impl_->find(ref), request);
}
std::unique_ptr<WaitTicket> Engine::container_wait(std::string_view ref, WaitCondition condition,
                                                   std::function<void(WaitResult)> done) {
  return impl_->lifecycle.wait(impl_->find(ref), condition, std::move(done));
}
ContainerInspect Engine::container_inspect(std::string_view ref, bool size) {
  return inspect_view(impl_->s, impl_->find(ref), size);
}
std::vector<ContainerSummary> Engine::container_list(const ListRequest& request) {
  return list_view(impl_->s, request);
}
json::Value Engine::container_prune(const Filters& filters) {
  return prune_containers(impl_->s, impl_->lifecycle, filters);
}
TopResult Engine::container_top(std::string_view ref, std::string_view ps_arguments) {
  const auto container = impl_->find(ref);
  auto result = top(impl_->s, container, ps_arguments);
  impl_->s.publish(*container, "top");
  return result;
}
std::vector<PathChange> Engine::container_changes(std::string_view ref) {
  return impl_->archive.changes(impl_->find(ref));
}
Stream Engine::container_logs(std::string_view ref, const LogsRequest& request) {
  return open_logs(impl_->s, impl_->find(ref), request);
}
Stream Engine::container_attach(std::string_view ref, const AttachRequest& request) {
  const auto container = impl_->find(ref);
  Stream stream = attach(impl_->s, container, request);
  if (request.stream) impl_->s.publish(*container, "attach");
  return stream;
}
void Engine::container_detached(std::string_view ref) {
  if (const auto container = impl_->s.containers.try_find(ref)) impl_->s.publish(*container, "detach");
}
void Engine::container_resize(std::string_view ref, unsigned rows, unsigned columns) {
  const auto container = impl_->find(ref);
  resize(container, rows, columns);
  impl_->s.publish(*container, "resize", {{"height", std::to_string(rows)}, {"width", std::to_string(columns)}});
}
UniqueFd Engine::container_stats(std::string_view ref, bool stream, bool one_shot) {
  return open_stats(impl_->s, impl_->find(ref), stream, one_shot);
}
PathStat Engine::archive_stat(std::string_view ref, std::string_view path) {
  return impl_->archive.stat(impl_->find(ref), path);
}
void Engine::archive_get(std::string_view ref, std::string_view path, const std::function<void(const PathStat&)>& ready,
                         ByteSink& sink) {
  impl_->archive.get(impl_->find(ref), path, ready, sink);
}
void Engine::archive_put(std::string_view ref, const ArchivePutRequest& request, ByteSource& source) {
  impl_->archive.put(impl_->find(ref), request, source);
}
void Engine::container_export(std::string_view ref, ByteSink& sink) {
  impl_->archive.export_root(impl_->find(ref), sink);
}

// Execs

std::string Engine::exec_create(std::string_view ref, const ExecCreateRequest& request) {
  return impl_->execs.create(impl_->find(ref), request);
}
Stream Engine::exec_start(std::string_view id, const ExecStartRequest& request) {
  return impl_->execs.start(id, request);
}
void Engine::exec_detached(std::string_view id) { impl_->execs.detached(id); }
void Engine::exec_resize(std::string_view id, unsigned rows, unsigned columns) {
  impl_->execs.resize(id, rows, columns);
}
ExecInspect Engine::exec_inspect(std::string_view id) { return impl_->execs.inspect(id); }

// Images

json::Value Engine::image_list(bool all, const Filters& filters, bool shared_size) {
  return impl_->images.list(all, filters, shared_size);
}
json::Value Engine::image_inspect(std::string_view ref) { return impl_->images.inspect(ref); }
json::Value Engine::image_history(std::string_view ref) { return impl_->images.history(ref); }
void Engine::image_tag(std::string_view ref, std::string_view repository, std::string_view tag) {
  impl_->images.tag(ref, repository, tag);
}
json::Value Engine::image_remove(std::string_view ref, bool force, bool no_prune) {
  return impl_->images.remove(ref, force, no_prune);
}
json::Value Engine::image_prune(const Filters& filters) { return impl_->images.prune(filters); }
void Engine::image_pull(std::string_view image, std::string_view tag, std::string_view platform,
                        const RegistryAuth& auth, const ProgressSink& progress, const Cancelled& cancelled) {
  impl_->images.pull(image, tag, platform, auth, progress, cancelled);
}
void Engine::image_push(std::string_view image, std::string_view tag, const RegistryAuth& auth,
                        const ProgressSink& progress, const Cancelled& cancelled) {
  impl_->images.push(image, tag, auth, progress, cancelled);
}
std::string Engine::image_import(std::string_view repository, std::string_view tag, std::string_view message,
                                 const std::vector<std::string>& changes, std::string_view platform,
                                 ByteSource& source) {
  return impl_->images.import(repository, tag, message, changes, platform, source);
}
void Engine::image_save(const std::vector<std::string>& refs, ByteSink& sink) { impl_->images.save(refs, sink); }
void Engine::image_load(ByteSource& source, bool quiet, const ProgressSink& progress) {
  impl_->images.load(source, quiet, progress);
}
std::string Engine::commit(const CommitRequest& request) {
  return impl_->images.commit(impl_->find(request.container), request);
}
json::Value Engine::distribution_inspect(std::string_view ref, const RegistryAuth& auth) {
  return impl_->images.distribution(ref, auth);
}
json::Value Engine::registry_login(const RegistryAuth& auth) { return impl_->images.login(auth); }

// Networks

json::Value Engine::network_list(const Filters& filters) { return impl_->networks.list(filters); }
json::Value Engine::network_inspect(std::string_view ref, bool, std::string_view scope) {
  return impl_->networks.inspect(ref, scope);
}
json::Value Engine::network_create(const NetworkCreateRequest& request) { return impl_->networks.create(request); }
void Engine::network_remove(std::string_view ref) { impl_->networks.remove(ref); }
void Engine::network_connect(std::string_view network, std::string_view container, const EndpointSettings& settings) {
  impl_->networks.connect(network, impl_->find(container), settings);
}
void Engine::network_disconnect(std::string_view network, std::string_view container) {
  impl_->networks.disconnect(network, impl_->find(container));
}
json::Value Engine::network_prune(const Filters& filters) { return impl_->networks.prune(filters); }

// Volumes

json::Value Engine::volume_list(const Filters& filters) { return impl_->volumes.list(filters); }
json::Value Engine::volume_inspect(std::string_view name) { return impl_->volumes.inspect(name); }
json::Value Engine::volume_create(const VolumeCreateRequest& request) { return impl_->volumes.create(request); }
void Engine::volume_remove(std::string_view name, bool force) { impl_->volumes.remove(name, force); }
json::Value Engine::volume_prune(const Filters& filters) { return impl_->volumes.prune(filters); }

// System

json::Value Engine::info() { return info_view(impl_->s, impl_->images); }
json::Value Engine::version() { return version_view(); }
json::Value Engine::disk_usage(const std::vector<std::string>& types) {
  return disk_usage_view(impl_->s, impl_->images, impl_->volumes, types);
}
UniqueFd Engine::events(const EventsRequest& request) {
  const auto time_of = [](const std::string& text) -> std::optional<WallTime> {
    if (text.empty()) return std::nullopt;
    if (const auto time = parse_timestamp(text, wall_now())) return time;
    fail(ErrorKind::invalid_argument, "invalid timestamp \"{}\"", printable(text));
  };
  return impl_->s.events.subscribe(time_of(request.since), time_of(request.until), request.filters);
}

}  // namespace bryo::engine

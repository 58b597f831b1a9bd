#include "api/fake_engine.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/bytes.hpp"

namespace bryo::api {

FakeEngine& FakeEngine::instance() {
  static FakeEngine engine;
  return engine;
}

void FakeEngine::reset() {
  const std::lock_guard lock(mutex_);
  calls_.clear();
  failures.clear();
  answer = nullptr;
  created = {};
  inspected = {};
  exec = {};
  stream.reset();
  tty = false;
  waiter_ = nullptr;
  exits_at_once = false;
  transfer = nullptr;
  tar.clear();
}

void FakeEngine::record(std::string call) {
  const std::string method = call.substr(0, call.find(' '));
  {
    const std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
  }
  maybe_fail(method);
}

std::vector<std::string> FakeEngine::calls() {
  const std::lock_guard lock(mutex_);
  return calls_;
}

std::string FakeEngine::last_call() {
  const std::lock_guard lock(mutex_);
  return calls_.empty() ? "" : calls_.back();
}

std::function<void(engine::WaitResult)> FakeEngine::waiter() {
  std::unique_lock lock(mutex_);
  waiter_set_.wait(lock, [&] { return waiter_ != nullptr; });
  return waiter_;
}

void FakeEngine::set_waiter(std::function<void(engine::WaitResult)> done) {
  const std::lock_guard lock(mutex_);
  waiter_ = std::move(done);
  waiter_set_.notify_all();
}

void FakeEngine::maybe_fail(const std::string& method) {
  if (const auto found = failures.find(method); found != failures.end()) throw found->second;
}

}  // namespace bryo::api

namespace bryo::engine {
namespace {

api::FakeEngine& fake() { return api::FakeEngine::instance(); }

template <typename... Args>
void note(fmt::format_string<Args...> format, Args&&... args) {
  fake().record(fmt::format(format, std::forward<Args>(args)...));
}

std::string text(const Filters& filters) {
  std::string out = "{";
  for (const auto& [name, values] : filters) out += fmt::format("{}={};", name, fmt::join(values, ","));
  return out + "}";
}

std::string text(const std::optional<int>& value) { return value ? std::to_string(*value) : "-"; }
Stream stream() { return {std::move(fake().stream), fake().tty}; }

}  // namespace

class Engine::Impl {};

Engine::Engine(Options) {}
Engine::~Engine() = default;
void Engine::restore() {}
void Engine::shutdown() {}
void Engine::reload(const Options&) {}

CreateResult Engine::container_create(const CreateRequest& request) {
  fake().created = request;
  note("container_create {}", request.name);
  return {"c0ffee", {}};
}
void Engine::container_start(std::string_view ref) { note("container_start {}", ref); }
void Engine::container_stop(std::string_view ref, std::optional<int> timeout, std::string_view signal) {
  note("container_stop {} {} {}", ref, text(timeout), signal);
}
void Engine::container_restart(std::string_view ref, std::optional<int> timeout, std::string_view signal) {
  note("container_restart {} {} {}", ref, text(timeout), signal);
}
void Engine::container_kill(std::string_view ref, std::string_view signal) {
  note("container_kill {} {}", ref, signal);
}
void Engine::container_remove(std::string_view ref, const RemoveRequest& request) {
  note("container_remove {} v={} force={} link={}", ref, request.volumes, request.force, request.link);
}
json::Value Engine::container_add_ports(std::string_view ref, const PortMap& ports) {
  note("container_add_ports {} {}", ref, json::serialize(json::encode(ports)));
  return fake().answer;
}
json::Value Engine::container_remove_ports(std::string_view ref, const PortMap& ports) {
  note("container_remove_ports {} {}", ref, json::serialize(json::encode(ports)));
  return fake().answer;
}
void Engine::container_rename(std::string_view ref, std::string_view name) {
  note("container_rename {} {}", ref, name);
}
void Engine::container_pause(std::string_view ref) { note("container_pause {}", ref); }
void Engine::container_unpause(std::string_view ref) { note("container_unpause {}", ref); }
std::vector<std::string> Engine::container_update(std::string_view ref, const UpdateRequest& request) {
  note("container_update {} memory={} policy={}", ref, request.resources.memory,
       request.restart_policy ? request.restart_policy->name : "-");
  return {};
}
std::unique_ptr<WaitTicket> Engine::container_wait(std::string_view ref, WaitCondition condition,
                                                   std::function<void(WaitResult)> done) {
  note("container_wait {} {}", ref, static_cast<int>(condition));
  if (fake().exits_at_once) done({7, std::nullopt});
  fake().set_waiter(std::move(done));
  return std::make_unique<WaitTicket>();
}
ContainerInspect Engine::container_inspect(std::string_view ref, bool size) {
  note("container_inspect {} size={}", ref, size);
  return fake().inspected;
}
std::vector<ContainerSummary> Engine::container_list(const ListRequest& request) {
  note("container_list all={} limit={} size={} {}", request.all, request.limit, request.size, text(request.filters));
  return {};
}
json::Value Engine::container_prune(const Filters& filters) {
  note("container_prune {}", text(filters));
  return fake().answer;
}
TopResult Engine::container_top(std::string_view ref, std::string_view arguments) {
  note("container_top {} {}", ref, arguments);
  return {{"PID"}, {{"1"}}};
}
std::vector<PathChange> Engine::container_changes(std::string_view ref) {
  note("container_changes {}", ref);
  return {{"/etc", 0}};
}
Stream Engine::container_logs(std::string_view ref, const LogsRequest& request) {
  note("container_logs {} out={} err={} follow={} times={} since={} until={} tail={}", ref, request.out, request.err,
       request.follow, request.timestamps, request.since, request.until, request.tail);
  return stream();
}
Stream Engine::container_attach(std::string_view ref, const AttachRequest& request) {
  note("container_attach {} {}{}{}{}{}", ref, request.in ? "i" : "", request.out ? "o" : "", request.err ? "e" : "",
       request.logs ? "l" : "", request.stream ? "s" : "");
  return stream();
}
void Engine::container_detached(std::string_view ref) { note("container_detached {}", ref); }
void Engine::exec_detached(std::string_view id) { note("exec_detached {}", id); }
void Engine::container_resize(std::string_view ref, unsigned rows, unsigned columns) {
  note("container_resize {} {}x{}", ref, rows, columns);
}
UniqueFd Engine::container_stats(std::string_view ref, bool follow, bool one_shot) {
  note("container_stats {} stream={} one_shot={}", ref, follow, one_shot);
  return std::move(fake().stream);
}
PathStat Engine::archive_stat(std::string_view ref, std::string_view path) {
  note("archive_stat {} {}", ref, path);
  return {"etc", 5, 0644, "2026-01-02T03:04:05Z", ""};
}
void Engine::archive_get(std::string_view ref, std::string_view path, const std::function<void(const PathStat&)>& ready,
                         ByteSink& sink) {
  note("archive_get {} {}", ref, path);
  ready({"etc", 5, 0644, "2026-01-02T03:04:05Z", ""});
  sink.write(fake().tar);
}
void Engine::archive_put(std::string_view ref, const ArchivePutRequest& request, ByteSource& source) {
  fake().tar = read_all(source, 1 << 20);
  note("archive_put {} {} {}{}", ref, request.path, request.no_overwrite_dir_non_dir, request.copy_uid_gid);
}
void Engine::container_export(std::string_view ref, ByteSink& sink) {
  note("container_export {}", ref);
  sink.write(fake().tar);
}

std::string Engine::exec_create(std::string_view ref, const ExecCreateRequest& request) {
  note("exec_create {} {} size={}", ref, fmt::join(request.cmd, " "), request.console_size.has_value());
  return "e1";
}
Stream Engine::exec_start(std::string_view id, const ExecStartRequest& request) {
  note("exec_start {} detach={} tty={}", id, request.detach, request.tty);
  return stream();
}
void Engine::exec_resize(std::string_view id, unsigned rows, unsigned columns) {
  note("exec_resize {} {}x{}", id, rows, columns);
}
ExecInspect Engine::exec_inspect(std::string_view id) {
  note("exec_inspect {}", id);
  return fake().exec;
}

json::Value Engine::image_list(bool all, const Filters& filters, bool shared_size) {
  note("image_list all={} {} shared={}", all, text(filters), shared_size);
  return fake().answer;
}
json::Value Engine::image_inspect(std::string_view ref) {
  note("image_inspect {}", ref);
  return fake().answer;
}
json::Value Engine::image_history(std::string_view ref) {
  note("image_history {}", ref);
  return fake().answer;
}
void Engine::image_tag(std::string_view ref, std::string_view repository, std::string_view tag) {
  note("image_tag {} {} {}", ref, repository, tag);
}
json::Value Engine::image_remove(std::string_view ref, bool force, bool no_prune) {
  note("image_remove {} {} {}", ref, force, no_prune);
  return fake().answer;
}
json::Value Engine::image_prune(const Filters& filters) {
  note("image_prune {}", text(filters));
  return fake().answer;
}
void Engine::image_pull(std::string_view image, std::string_view tag, std::string_view platform,
                        const RegistryAuth& auth, const ProgressSink& progress, const Cancelled& cancelled) {
  note("image_pull {} {} {} {}", image, tag, platform, json::serialize(auth));
  if (fake().transfer) fake().transfer(progress, cancelled);
}
void Engine::image_push(std::string_view image, std::string_view tag, const RegistryAuth& auth,
                        const ProgressSink& progress, const Cancelled& cancelled) {
  note("image_push {} {} {}", image, tag, json::serialize(auth));
  if (fake().transfer) fake().transfer(progress, cancelled);
}
std::string Engine::image_import(std::string_view repository, std::string_view tag, std::string_view message,
                                 const std::vector<std::string>& changes, std::string_view, ByteSource& source) {
  fake().tar = read_all(source, 1 << 20);
  note("image_import {} {} {} {}", repository, tag, message, fmt::join(changes, "|"));
  return "sha256:1234";
}
void Engine::image_save(const std::vector<std::string>& refs, ByteSink& sink) {
  note("image_save {}", fmt::join(refs, " "));
  sink.write(fake().tar);
}
void Engine::image_load(ByteSource& source, bool quiet, const ProgressSink& progress) {
  fake().tar = read_all(source, 1 << 20);
  note("image_load quiet={}", quiet);
  progress(json::Object{{"stream", "Loaded image: x:latest\n"}});
}
std::string Engine::commit(const CommitRequest& request) {
  note("commit {} {} {} {} pause={} config={}", request.container, request.repository, request.tag, request.comment,
       request.pause, request.config.has_value());
  return "sha256:5678";
}
json::Value Engine::distribution_inspect(std::string_view ref, const RegistryAuth&) {
  note("distribution_inspect {}", ref);
  return fake().answer;
}
json::Value Engine::registry_login(const RegistryAuth& auth) {
  note("registry_login {}", json::serialize(auth));
  return fake().answer;
}

json::Value Engine::network_list(const Filters& filters) {
  note("network_list {}", text(filters));
  return fake().answer;
}
json::Value Engine::network_inspect(std::string_view ref, bool verbose, std::string_view scope) {
  note("network_inspect {} {} {}", ref, verbose, scope);
  return fake().answer;
}
json::Value Engine::network_create(const NetworkCreateRequest& request) {
  note("network_create {} {}", request.name, request.driver);
  return fake().answer;
}
void Engine::network_remove(std::string_view ref) { note("network_remove {}", ref); }
void Engine::network_connect(std::string_view network, std::string_view container, const EndpointSettings& settings) {
  note("network_connect {} {} {}", network, container, settings.ipam_config ? settings.ipam_config->ipv4_address : "-");
}
void Engine::network_disconnect(std::string_view network, std::string_view container) {
  note("network_disconnect {} {}", network, container);
}
json::Value Engine::network_prune(const Filters& filters) {
  note("network_prune {}", text(filters));
  return fake().answer;
}

json::Value Engine::volume_list(const Filters& filters) {
  note("volume_list {}", text(filters));
  return fake().answer;
}
json::Value Engine::volume_inspect(std::string_view name) {
  note("volume_inspect {}", name);
  return fake().answer;
}
json::Value Engine::volume_create(const VolumeCreateRequest& request) {
  note("volume_create {}", request.name);
  return fake().answer;
}
void Engine::volume_remove(std::string_view name, bool force) { note("volume_remove {} {}", name, force); }
json::Value Engine::volume_prune(const Filters& filters) {
  note("volume_prune {}", text(filters));
  return fake().answer;
}

json::Value Engine::info() {
  note("info");
  return fake().answer;
}
json::Value Engine::version() {
  note("version");
  return fake().answer;
}
json::Value Engine::disk_usage(const std::vector<std::string>& types) {
  note("disk_usage {}", fmt::join(types, ","));
  return fake().answer;
}
UniqueFd Engine::events(const EventsRequest& request) {
  note("events {} {} {}", request.since, request.until, text(request.filters));
  return std::move(fake().stream);
}

}  // namespace bryo::engine

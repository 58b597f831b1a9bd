#include "engine/bundles.hpp"

#include <fcntl.h>

#include <thread>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/time.hpp"
#include "kernel/files.hpp"
#include "kernel/paths.hpp"
#include "kernel/private_directory.hpp"
#include "kernel/resctrl.hpp"
#include "oci/runtime_spec_json.hpp"
#include "runtime/hook_program.hpp"
#include "runtime/make_plan.hpp"

namespace bryo::engine {
namespace {

using std::chrono::milliseconds;

constexpr int kHookSeconds = 120;
// The hooks of the last run may take as long as each may, and a monitor some seconds.
constexpr milliseconds kLastRun{(kHookSeconds + 15) * 1000};
constexpr milliseconds kPause{5};
constexpr std::size_t kMaxConfig = 16U << 20;

// Hooks and the containers' root know a directory by its own name, not by a link to it.
std::string real_path(const std::string& directory) {
  const UniqueFd fd = kernel::open_trusted(directory, O_RDONLY | O_DIRECTORY);
  return kernel::read_link(AT_FDCWD, fmt::format("/proc/self/fd/{}", fd.get()));
}

std::string state_head(const std::string& id, const std::string& path, const oci::RuntimeSpec& spec) {
  json::Object state{{"ociVersion", spec.oci_version}, {"id", id}, {"bundle", path}};
  if (!spec.annotations.empty()) state["annotations"] = json::encode(spec.annotations);
  std::string text = json::serialize(state);
  text.pop_back();
  return text;
}

runtime::HookSet bounded_hooks(const oci::RuntimeSpec& spec) {
  runtime::HookSet hooks = runtime::hooks_of(spec);
  for (auto* list : {&hooks.prestart, &hooks.create_runtime, &hooks.create_container, &hooks.start_container,
                     &hooks.poststart, &hooks.poststop})
    for (runtime::HookProgram& hook : *list)
      if (!hook.timeout) hook.timeout = kHookSeconds;
  return hooks;
}

// By its mode, or by the capabilities that it has over files whose owners its map knows.
bool root_may_enter(const std::string& directory, const ids::IdMaps& maps) {
  const struct stat info = kernel::stat_at(AT_FDCWD, directory);
  if (maps.uid.to_container(ids::HostId(info.st_uid)) && maps.gid.to_container(ids::HostId(info.st_gid))) return true;
  if (ids::HostId(info.st_uid) == maps.root_uid()) return (info.st_mode & S_IXUSR) != 0;
  if (ids::HostId(info.st_gid) == maps.root_gid()) return (info.st_mode & S_IXGRP) != 0;
  return (info.st_mode & S_IXOTH) != 0;
}

std::string first_closed(const std::string& path, const ids::IdMaps& maps) {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string directory = path.substr(0, end);
    if (!root_may_enter(directory, maps)) return directory;
    if (end == std::string::npos) return {};
  }
}

}  // namespace

bool needs_bundle(const oci::RuntimeSpec& spec) { return spec.hooks || (spec.linux_ && spec.linux_->intel_rdt); }

monitor::Bundle Bundles::make(const Record& record, oci::RuntimeSpec spec, const std::string& resctrl) const {
  if (!settle(record.id, kLastRun))
    fail(ErrorKind::unavailable, "the poststop hooks of the last run of container {} have not ended", record.id);
  kernel::make_private_directory(root_);
  monitor::Bundle bundle;
  bundle.path = real_path(root_) + "/" + record.id;
  spec.root->path = bundle.path + "/" + std::string(monitor::kBundleRoot);
  kernel::make_directory(AT_FDCWD, bundle.path, 0700);
  kernel::make_directory(AT_FDCWD, spec.root->path, 0700);
  const std::string text = oci::format_runtime_spec(spec);
  const UniqueFd config = kernel::open_at(AT_FDCWD, bundle.path + "/" + std::string(monitor::kBundleConfig),
                                          O_WRONLY | O_CREAT | O_EXCL, 0600);
  kernel::write_all(config.get(), std::as_bytes(std::span(text)));
  bundle.state = state_head(record.id, bundle.path, spec);
  bundle.hooks = bounded_hooks(spec);
  bundle.resctrl = runtime::resctrl_leftovers(spec, resctrl, record.id);
  if (record.maps.is_identity()) return bundle;
  bundle.cover = first_closed(bundle.path, record.maps);
  bundle.root_uid = ids::value(record.maps.root_uid());
  bundle.root_gid = ids::value(record.maps.root_gid());
  return bundle;
}

bool Bundles::settle(const std::string& id) const {
  const std::string path = root_ + "/" + id;
  if (!kernel::try_stat_at(AT_FDCWD, path)) return true;
  try {
    const UniqueFd config =
        kernel::open_at(AT_FDCWD, path + "/" + std::string(monitor::kBundleConfig), O_RDWR | O_CLOEXEC);
    if (!kernel::try_lock(config.get())) return false;
    if (kernel::stat_fd(config.get()).st_nlink != 0 &&
        kernel::try_stat_at(AT_FDCWD, path + "/" + std::string(monitor::kBundleBegun)))
      finish(id, kernel::read_file(config.get(), kMaxConfig));
  } catch (const Error& error) {
    // Removed since we looked, or never finished: no process was made.
    if (error.kind() != ErrorKind::not_found) log::warning("container {}: its hooks: {}", id, error.message());
  }
  if (!kernel::try_stat_at(AT_FDCWD, path)) return true;
  kernel::remove_tree(kernel::open_at(AT_FDCWD, root_, O_RDONLY | O_DIRECTORY).get(), id);
  return true;
}

bool Bundles::settle(const std::string& id, milliseconds patience) const {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!settle(id)) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

void Bundles::finish(const std::string& id, const std::string& config) const {
  const oci::RuntimeSpec spec = oci::parse_runtime_spec(config);
  const runtime::HookSet hooks = bounded_hooks(spec);
  const std::string path = spec.root->path.substr(0, spec.root->path.rfind('/'));
  const std::string state = runtime::hook_state(state_head(id, path, spec), "stopped", 0);
  for (const std::string& failure : runtime::try_hooks(hooks.poststop, "poststop", state))
    log::warning("container {}: {}", id, failure);
  if (!spec.linux_ || !spec.linux_->intel_rdt) return;
  for (const std::string& group : runtime::resctrl_leftovers(spec, kernel::find_resctrl(), id))
    kernel::remove_resctrl(group);
}

std::vector<std::string> Bundles::list() const {
  std::vector<std::string> out;
  if (!kernel::try_stat_at(AT_FDCWD, root_)) return out;
  for (const auto& entry : kernel::read_directory(kernel::open_at(AT_FDCWD, root_, O_RDONLY | O_DIRECTORY).get()))
    out.push_back(entry.name);
  return out;
}

}  // namespace bryo::engine

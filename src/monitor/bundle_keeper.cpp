#include "monitor/bundle_keeper.hpp"

#include <fcntl.h>

#include <utility>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/mounts.hpp"
#include "kernel/paths.hpp"
#include "kernel/process.hpp"
#include "kernel/resctrl.hpp"

namespace bryo::monitor {
namespace {

constexpr std::size_t kMaxConfig = 16U << 20;

}  // namespace

BundleKeeper::BundleKeeper(Bundle bundle, int oom_score_adj)
    : bundle_(std::move(bundle)),
      oom_score_adj_(oom_score_adj),
      lock_(kernel::open_trusted(bundle_.path + "/" + std::string(kBundleConfig), O_RDWR)) {
  if (!kernel::try_lock(lock_.get()))
    fail(ErrorKind::conflict, "the bundle {} belongs to another run of the container", bundle_.path);
  if (!bundle_.hooks.before_start()) return;
  create_.emplace(bundle_.hooks, bundle_.path + "/" + std::string(kBundleRoot));
  // Those read it in the container's mount namespace; others find their way in by the container's first process.
  create_->launch().root_must_show = !bundle_.hooks.create_container.empty();
  if (!bundle_.cover.empty()) make_cover();
}

// The same directories and the same config.json, in a file system that only the container's mount namespace has, and
// only until pivot_root: so its root may see them, and the engine's directories stay closed.
void BundleKeeper::make_cover() {
  kernel::NewFilesystem tmpfs("tmpfs");
  tmpfs.option("mode=0755");
  cover_ = tmpfs.mount(0);
  std::string name;
  for (const std::string_view part : split(std::string_view(bundle_.path).substr(bundle_.cover.size()), '/')) {
    if (part.empty()) continue;
    name += (name.empty() ? "" : "/") + std::string(part);
    kernel::make_directory(cover_.get(), name, 0755);
  }
  if (!name.empty()) name += "/";
  kernel::make_directory(cover_.get(), name + std::string(kBundleRoot), 0755);
  const std::string text = kernel::read_file(lock_.get(), kMaxConfig);
  const UniqueFd config =
      kernel::open_at(cover_.get(), name + std::string(kBundleConfig), O_WRONLY | O_CREAT | O_EXCL, 0400);
  kernel::write_all(config.get(), std::as_bytes(std::span(text)));
  kernel::change_owner(config.get(), bundle_.root_uid, bundle_.root_gid);
  runtime::LaunchHooks& launch = create_->launch();
  launch.cover = cover_.get();
  launch.cover_path = bundle_.cover;
}

void BundleKeeper::begun() {
  const std::string path = bundle_.path + "/" + std::string(kBundleBegun);
  kernel::open_trusted(path, O_WRONLY | O_CREAT, 0600);
  begun_ = true;
}

void BundleKeeper::run_create_hooks(pid_t init) {
  const std::string state = runtime::hook_state(bundle_.state, "creating", init);
  runtime::run_hooks(bundle_.hooks.prestart, "prestart", state, oom_score_adj_);
  runtime::run_hooks(bundle_.hooks.create_runtime, "createRuntime", state, oom_score_adj_);
  // In the container its first process has another number.
  const pid_t inside = kernel::innermost_pid(init);
  create_->write_states(runtime::hook_state(bundle_.state, "creating", inside),
                        runtime::hook_state(bundle_.state, "created", inside));
  cover_.reset();
}

HookSequence::Hooks BundleKeeper::poststart(pid_t init) const {
  return {"poststart", bundle_.hooks.poststart, runtime::hook_state(bundle_.state, "running", init), oom_score_adj_};
}

HookSequence::Hooks BundleKeeper::poststop() const {
  return {"poststop", bundle_.hooks.poststop, runtime::hook_state(bundle_.state, "stopped", 0), oom_score_adj_};
}

void BundleKeeper::remove() {
  for (const std::string& group : bundle_.resctrl) kernel::remove_resctrl(group);
  const std::size_t cut = bundle_.path.rfind('/');
  const UniqueFd parent = kernel::open_trusted(bundle_.path.substr(0, cut), O_RDONLY | O_DIRECTORY);
  kernel::remove_tree(parent.get(), bundle_.path.substr(cut + 1));
}

}  // namespace bryo::monitor

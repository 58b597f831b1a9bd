#include "runtime/command/launch.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/time.hpp"
#include "kernel/capabilities.hpp"
#include "kernel/files.hpp"
#include "kernel/idle_processors.hpp"
#include "kernel/process.hpp"
#include "kernel/resctrl.hpp"
#include "oci/runtime_spec_json.hpp"
#include "runtime/command/log.hpp"
#include "runtime/command/seccomp_agent.hpp"
#include "runtime/command/unix_socket.hpp"
#include "runtime/make_plan.hpp"
#include "runtime/prepare_mounts.hpp"

namespace bryo::runtime::command {
namespace {

constexpr std::size_t kMaxConfig = 16 * 1024 * 1024;

std::string state_json(const ContainerState& state, const oci::RuntimeSpec& spec, Status status) {
  return json::serialize(json::encode(view_of(state, spec, status)));
}

void remove_resctrl_of(const oci::RuntimeSpec& spec, const std::string& id) {
  if (!spec.linux_ || !spec.linux_->intel_rdt) return;
  for (const std::string& path : resctrl_leftovers(spec, kernel::find_resctrl(), id)) kernel::remove_resctrl(path);
}

// What is left to do once its processes and cgroups are gone.
void finish(const Context& context, const ContainerState& state, const oci::RuntimeSpec& spec) {
  remove_resctrl_of(spec, state.id);
  const HookSet hooks = hooks_of(spec);
  if (hooks.poststop.empty()) return;
  for (const std::string& failure : try_hooks(hooks.poststop, "poststop", state_json(state, spec, Status::stopped)))
    log_warning(context.options, failure);
}

void finish(const Context& context, const ContainerState& state) {
  oci::RuntimeSpec spec;
  try {
    spec = context.states.load_spec(state.id);
  } catch (const Error&) {
    // It never got a configuration: nothing was made of it, and there is nothing to run.
    return;
  }
  finish(context, state, spec);
}

}  // namespace

BundleSpec load_bundle(const std::string& bundle) {
  BundleSpec out;
  out.bundle = std::filesystem::absolute(bundle).lexically_normal().string();
  if (out.bundle.size() > 1 && out.bundle.back() == '/') out.bundle.pop_back();
  const UniqueFd fd = kernel::open_trusted(out.bundle + "/config.json", O_RDONLY);
  out.text = kernel::read_file(fd.get(), kMaxConfig);
  out.spec = oci::parse_runtime_spec(out.text);
  if (!out.spec.root || out.spec.root->path.empty()) fail(ErrorKind::invalid_argument, "root.path: missing");
  const std::string& path = out.spec.root->path;
  out.rootfs = path.starts_with('/') ? path : out.bundle + "/" + path;
  if (complete_mappings(out.spec)) out.text.clear();
  out.hooks = hooks_of(out.spec);
  return out;
}

// Asked only when it matters: reading the table of mounts takes time.
HostFacts host_facts_for(const oci::RuntimeSpec& spec) {
  HostFacts facts = gather_host_facts(DeviceNodes::left_out);
  if (spec.linux_ && spec.linux_->intel_rdt) facts.resctrl = kernel::find_resctrl();
  return facts;
}

RootfsSource rootfs_of(const BundleSpec& bundle) {
  RootfsSource source;
  source.kind = RootfsSource::Kind::directory;
  source.path = bundle.rootfs;
  return source;
}

int preserved_descriptors(const Context& context, const Arguments& arguments, int before) {
  constexpr int kFirst = 3;
  constexpr int kMost = 1000;
  const auto count = parse_integer<int>(arguments.value("preserve-fds", "0"));
  if (!count || *count < 0 || *count > kMost)
    fail(ErrorKind::invalid_argument, "preserve-fds: not a number of descriptors");
  if (*count > 0) context.own_view.reset();  // it may have one of these numbers
  for (int fd = kFirst + before; fd < kFirst + before + *count; ++fd)
    if (::fcntl(fd, F_GETFD) < 0)
      fail(ErrorKind::invalid_argument, "preserve-fds: descriptor {} is not open (from {} on, {} are wanted)", fd,
           kFirst + before, *count);
  return *count;
}

void write_pid_file(const std::string& path, pid_t pid) {
  const std::string temporary = path + ".new";
  const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!fd) fail_errno("open pid file {}", temporary);
  const std::string text = std::to_string(pid);
  kernel::write_all(fd.get(), std::as_bytes(std::span(text)));
  if (::rename(temporary.c_str(), path.c_str()) != 0) fail_errno("rename pid file {}", path);
}

void send_to_console_socket(const std::string& socket_path, int master) {
  constexpr std::string_view kOption = "--console-socket";
  send_with_descriptor(connect_to_socket(socket_path, kOption).get(), "/dev/ptmx", master, kOption);
}

namespace {

void check_rights() {
  if ((kernel::effective_capabilities() & kernel::capability_bit(CAP_SYS_ADMIN)) == 0)
    fail(
        ErrorKind::permission,
        "to make a container takes CAP_SYS_ADMIN: an ordinary user begins as root of a user namespace, as podman does, "
        "or with unshare --map-root-user --map-auto --mount bryo-oci …");
}

}  // namespace

NewContainer::NewContainer(const Context& context, const LaunchRequest& request)
    : context_(context), request_(request), bundle_(load_bundle(request.bundle)) {
  check_id(request.id);
  check_rights();
  if (!bundle_.spec.linux_) fail(ErrorKind::invalid_argument, "linux: missing");
  if (!request.by_criu) begin_network();
  if (request.listen_descriptors > 0 && bundle_.spec.process) {
    bundle_.spec.process->env.push_back(fmt::format("LISTEN_FDS={}", request.listen_descriptors));
    bundle_.spec.process->env.emplace_back("LISTEN_PID=1");
    bundle_.text.clear();
  }
  const bool terminal = bundle_.spec.process && bundle_.spec.process->terminal;
  if (!request.console_socket.empty() && !terminal)
    fail(ErrorKind::invalid_argument, "cannot use console socket if runc will not detach or allocate tty");
  state_.id = request.id;
  state_.bundle = bundle_.bundle;
  state_.rootfs = bundle_.rootfs;
  state_.no_new_keyring = request.no_new_keyring;
  state_.created = to_rfc3339_nano(wall_now());
  protect_own_program(context, bundle_.spec);
  prepare_plan();
  context.states.create(state_.id);
}

// The kernel makes it on another processor while the plan and the cgroups are made on this one.
void NewContainer::begin_network() {
  const auto& namespaces = bundle_.spec.linux_->namespaces;
  const auto with_type = [&](std::string_view type) {
    return std::find_if(namespaces.begin(), namespaces.end(), [&](const auto& entry) { return entry.type == type; });
  };
  const auto network = with_type("network");
  if (network == namespaces.end() || !network->path.empty() || with_type("user") != namespaces.end()) return;
  if (const auto idle = kernel::idle_processors()) network_.emplace(*idle, std::move(context_.own_view));
}

NewContainer::~NewContainer() {
  if (kept_) return;
  container_.reset();
  destroy(context_, state_, saved_ ? &bundle_.spec : nullptr);
}

kernel::SystemdManager connect_to_systemd() {
  try {
    if (!kernel::has_own_systemd()) return kernel::SystemdManager::connect_system();
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    return kernel::SystemdManager::connect_user(
        runtime != nullptr && *runtime == '/' ? runtime : "/run/user/" + std::to_string(::geteuid()));
  } catch (const Error& error) {
    fail(ErrorKind::unavailable,
         "--systemd-cgroup: {}: use the cgroupfs driver, that is no --systemd-cgroup, on a host that systemd does not "
         "manage",
         error.message());
  }
}

namespace {

std::string read_proc_devices() {
  const UniqueFd file = kernel::open_trusted("/proc/devices", O_RDONLY);
  return kernel::read_file(file.get(), 64 * 1024);
}

}  // namespace

// Before anything is made: a host without systemd says so here.
std::string NewContainer::choose_cgroup() {
  if (!context_.options.systemd || !context_.options.cgroups) return cgroup_path_of(*bundle_.spec.linux_, state_.id);
  place_ = systemd_place(bundle_.spec.linux_->cgroups_path, state_.id,
                         kernel::has_own_systemd() ? "user.slice" : "system.slice");
  scope_others_ = annotation_properties(bundle_.spec.annotations);
  systemd_.emplace(connect_to_systemd());
  std::string base = systemd_->control_group();
  while (base.ends_with('/')) base.pop_back();
  state_.systemd_unit = place_.unit;
  return base + place_.path;
}

void NewContainer::prepare_plan() {
  PlanOptions options;
  options.keyring_name = "_ses." + state_.id;
  options.no_new_keyring = request_.no_new_keyring;
  options.mounts_in_order = true;
  options.cgroup_path = choose_cgroup();
  options.bundle = bundle_.bundle;
  options.container_id = state_.id;
  HostFacts facts = host_facts_for(bundle_.spec);
  state_.cgroups = context_.options.cgroups;
  state_.cgroup_path = options.cgroup_path;
  if (state_.cgroups && !systemd_ && context_.options.rootless && !may_make_cgroup(state_.cgroup_path))
    go_without_cgroup();
  if (!state_.cgroups) {
    facts.unified_cgroups = false;
    facts.hierarchies.clear();
  }
  plan_ = make_plan(bundle_.spec, facts, rootfs_of(bundle_), options);
}

// Root of a user namespace has only the cgroups that were delegated to it. A limit that nobody can keep is refused.
void NewContainer::go_without_cgroup() {
  if (const std::string asked = first_limit(*bundle_.spec.linux_); !asked.empty())
    fail(ErrorKind::permission,
         "linux.resources.{}: this user may not make cgroups, so nothing would keep the limit: have the cgroups "
         "delegated (systemd: Delegate=yes on user@.service, cgroup v2), or leave the limit out",
         asked);
  log_warning(context_.options, "the container has no cgroup of its own: this user may not make cgroups");
  state_.cgroups = false;
  state_.cgroup_path.clear();
}

void NewContainer::hand_over_terminal() {
  terminal_ = container_->take_pty_master();
  if (terminal_ && !request_.console_socket.empty()) {
    send_to_console_socket(request_.console_socket, terminal_.get());
    terminal_.reset();
  }
}

// Two containers in one cgroup: the end of one would be the end of both.
void NewContainer::check_cgroup_free() {
  if (!state_.cgroups) return;
  const auto others = cgroup_of(state_).pids().size();
  if (others == 0) return;
  // Nor is it ours to clear away.
  state_.cgroups = false;
  state_.systemd_unit.clear();
  fail(ErrorKind::conflict,
       "linux.cgroupsPath: the cgroup {} is not empty: {} process(es) found; give every container its own",
       state_.cgroup_path, others);
}

kernel::ContainerCgroup NewContainer::make_cgroup() const {
  kernel::CgroupLimits limits = limits_of(*bundle_.spec.linux_);
  // Only the host's root has device rules, and nobody else makes device nodes: what is there was bound, and its mode
  // says who may open it.
  if (in_user_namespace()) limits.devices.clear();
  return kernel::ContainerCgroup::create(kernel::CgroupLayout::once(), state_.cgroup_path, limits);
}

void NewContainer::enter_cgroup(LaunchInputs& inputs) {
  if (!state_.cgroups || systemd_) return;
  const kernel::ContainerCgroup cgroup = make_cgroup();
  cgroup_procs_ = cgroup.open_procs();
  cgroup_directory_ = cgroup.open_directory();
  for (const UniqueFd& fd : cgroup_procs_) inputs.cgroup.procs.push_back(fd.get());
  inputs.cgroup.directory = cgroup_directory_ ? cgroup_directory_.get() : -1;
}

void NewContainer::enter_scope() {
  if (!systemd_) return;
  const auto& layout = kernel::CgroupLayout::once();
  const auto resources = bundle_.spec.linux_->resources.value_or(oci::LinuxResources{});
  std::vector<UnitProperty> others = device_properties(limits_of(*bundle_.spec.linux_).devices, read_proc_devices());
  others.insert(others.end(), scope_others_.begin(), scope_others_.end());
  try {
    systemd_->start_unit(place_.unit,
                         scope_properties(place_, state_.id, state_.pid, resources, layout.version(), others));
  } catch (const Error&) {
    // Perhaps somebody else's unit has this name: it is not ours to stop.
    state_.cgroups = false;
    state_.systemd_unit.clear();
    throw;
  }
  stopping_point("scope");
  // systemd made it where it keeps its own books; the rest, and what it has no property for, is ours.
  make_cgroup().add(state_.pid);
}

void NewContainer::save_all() {
  if (bundle_.text.empty()) bundle_.text = oci::format_runtime_spec(bundle_.spec);
  context_.states.save(state_, bundle_.text);
  saved_ = true;
}

// Until the child hears of its mounts it ends with us, and from then on its number is written down: nobody who is
// killed in between leaves a process that `delete --force` does not find.
void NewContainer::note_process(pid_t pid, bool started) {
  state_.pid = pid;
  const auto stat = kernel::process_stat(state_.pid);
  state_.start_time = stat ? stat->start_time : 0;
  state_.started = started;
  context_.states.save(state_);
}

void NewContainer::run_create_hooks() {
  if (!hooks_) return;
  container_->wait_mounted();
  const std::string text = state_json(state_, bundle_.spec, Status::creating);
  run_hooks(bundle_.hooks.prestart, "prestart", text);
  run_hooks(bundle_.hooks.create_runtime, "createRuntime", text);
  // In the container its first process has another number.
  ContainerState inside = state_;
  inside.pid = kernel::innermost_pid(state_.pid);
  hooks_->write_states(state_json(inside, bundle_.spec, Status::creating),
                       state_json(inside, bundle_.spec, Status::created));
  stopping_point("hooks");
}

void NewContainer::launch(bool wait_for_start_command) {
  UniqueFd gate;
  LaunchInputs inputs;
  inputs.stdio = {0, 1, 2};
  inputs.no_pivot = request_.no_pivot;
  check_cgroup_free();
  // Before anything else exists: what is written here is what `delete --force` takes away.
  save_all();
  stopping_point("state");
  enter_cgroup(inputs);
  stopping_point("cgroup");
  std::vector<int> preserved;
  for (int i = 0; i < request_.preserve; ++i) preserved.push_back(3 + i);
  inputs.preserved = preserved;
  if (wait_for_start_command) {
    gate = context_.states.listen_at_gate(state_.id);
    inputs.gate_listener = gate.get();
  }
  // Whoever wants to hear of the process or of its terminal hears of it before the program runs.
  inputs.gate_open = !wait_for_start_command && request_.pid_file.empty() && request_.console_socket.empty();
  if (bundle_.hooks.before_start()) inputs.hooks = &hooks_.emplace(bundle_.hooks, bundle_.rootfs).launch();
  inputs.on_listener = seccomp_agent(bundle_.spec, state_, Status::created);
  std::vector<UniqueFd> mounts;
  UniqueFd network;
  if (network_) {
    // Rather than wait for it. A scope of systemd's, of which there may be mounts, does not exist yet.
    if (!systemd_) mounts = prepare_mounts(plan_, inputs.descriptors, -1);
    network = network_->take();
  }
  inputs.mounts = &mounts;
  inputs.network = network ? network.get() : -1;
  container_.emplace(Container::begin(plan_, inputs));
  stopping_point("cloned");
  note_process(container_->pid(), !wait_for_start_command);
  stopping_point("noted");
  enter_scope();
  run_create_hooks();
  container_->wait_created();
  stopping_point("created");
  hand_over_terminal();
  if (!request_.pid_file.empty()) write_pid_file(request_.pid_file, state_.pid);
  stopping_point("pid-file");
  log_debug(context_.options, fmt::format("container {} created, process {}", state_.id, state_.pid));
}

std::string NewContainer::prepare_restore() {
  check_cgroup_free();
  save_all();
  if (state_.cgroups && !systemd_) make_cgroup();
  return context_.states.restored_pid_file(state_.id);
}

void NewContainer::adopt(pid_t pid) {
  note_process(pid, true);
  enter_scope();
  if (!request_.pid_file.empty()) write_pid_file(request_.pid_file, pid);
  run_poststart_hooks(context_, state_, bundle_.spec);
}

void NewContainer::start() {
  container_->start();
  stopping_point("started");
  run_poststart_hooks(context_, state_, bundle_.spec);
}

void run_poststart_hooks(const Context& context, const ContainerState& state, const oci::RuntimeSpec& spec) {
  const HookSet hooks = hooks_of(spec);
  if (hooks.poststart.empty()) return;
  const std::string text = state_json(state, spec, Status::running);
  // The container lives on whatever they say (runtime spec 1.2, lifecycle, step 9).
  for (const std::string& failure : try_hooks(hooks.poststart, "poststart", text))
    log_warning(context.options, failure);
}

kernel::ContainerCgroup cgroup_of(const ContainerState& state) {
  if (!state.cgroups) fail(ErrorKind::unsupported, "the container {} has no cgroup of its own", state.id);
  return kernel::ContainerCgroup::open(kernel::CgroupLayout::once(), state.cgroup_path);
}

namespace {

// A systemd that does not answer must not keep a container from being deleted.
void stop_scope(const Context& context, const ContainerState& state) {
  if (state.systemd_unit.empty()) return;
  try {
    connect_to_systemd().stop_unit(state.systemd_unit);
  } catch (const Error& error) {
    log_warning(context.options, error.message());
  }
}

}  // namespace

void destroy(const Context& context, const ContainerState& state, const oci::RuntimeSpec* spec) {
  if (const UniqueFd init = open_init(state)) {
    kernel::send_signal(init.get(), SIGKILL);
    // Its end takes the pid namespace with it; a zombie waits for its own parent, not for us.
    struct pollfd waited = {init.get(), POLLIN, 0};
    ::poll(&waited, 1, 10'000);
  }
  stopping_point("killed");
  if (state.cgroups && !state.cgroup_path.empty()) {
    const auto cgroup = kernel::ContainerCgroup::open(kernel::CgroupLayout::once(), state.cgroup_path);
    // Usually its processes are gone with its pid namespace; those that are just dying keep it busy for a moment.
    for (int attempt = 0; attempt < 200 && !cgroup.remove(); ++attempt) {
      cgroup.kill_all();
      ::poll(nullptr, 0, 5);
    }
  }
  stop_scope(context, state);
  stopping_point("cgroup-removed");
  if (spec != nullptr)
    finish(context, state, *spec);
  else
    finish(context, state);
  stopping_point("poststop");
  context.states.remove(state.id);
}

}  // namespace bryo::runtime::command

#include "runtime/command/launch.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/time.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/resctrl.hpp"
#include "oci/runtime_spec_json.hpp"
#include "runtime/command/hooks.hpp"
#include "runtime/command/seccomp_agent.hpp"
#include "runtime/make_plan.hpp"

namespace bryo::runtime::command {
namespace {

constexpr std::size_t kMaxConfig = 16 * 1024 * 1024;

std::string state_json(const ContainerState& state, const oci::RuntimeSpec& spec, Status status) {
  return json::serialize(json::encode(view_of(state, spec, status)));
}

UniqueFd connect_to(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) fail_errno("socket");
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    fail(ErrorKind::invalid_argument, "console socket: path {} is too long", printable(path));
  std::memcpy(address.sun_path, path.c_str(), path.size());
  if (::connect(fd.get(), reinterpret_cast<const struct sockaddr*>(&address), sizeof address) != 0)
    fail_errno("connect to console socket {}", path);
  return fd;
}

}  // namespace

BundleSpec load_bundle(const std::string& bundle) {
  BundleSpec out;
  out.bundle = std::filesystem::absolute(bundle).lexically_normal().string();
  if (out.bundle.size() > 1 && out.bundle.back() == '/') out.bundle.pop_back();
  const UniqueFd fd = kernel::open_trusted(out.bundle + "/config.json", O_RDONLY);
  out.spec = oci::parse_runtime_spec(kernel::read_file(fd.get(), kMaxConfig));
  if (!out.spec.root || out.spec.root->path.empty()) fail(ErrorKind::invalid_argument, "root.path: missing");
  const std::string& path = out.spec.root->path;
  out.rootfs = path.starts_with('/') ? path : out.bundle + "/" + path;
  complete_mappings(out.spec);
  check_hooks(out.spec);
  return out;
}

// Asked only when it matters: reading the table of mounts takes time.
HostFacts host_facts_for(const oci::RuntimeSpec& spec) {
  HostFacts facts = gather_host_facts(DeviceNodes::left_out);
  if (spec.linux_ && spec.linux_->intel_rdt) facts.resctrl = kernel::find_resctrl();
  return facts;
}

namespace {

void remove_resctrl_of(const oci::RuntimeSpec& spec, const std::string& id) {
  if (!spec.linux_ || !spec.linux_->intel_rdt) return;
  for (const std::string& path : resctrl_leftovers(spec, kernel::find_resctrl(), id)) kernel::remove_resctrl(path);
}

}  // namespace

RootfsSource rootfs_of(const BundleSpec& bundle) {
  RootfsSource source;
  source.kind = RootfsSource::Kind::directory;
  source.path = bundle.rootfs;
  return source;
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
  const UniqueFd socket = connect_to(socket_path);
  char name[] = "/dev/ptmx";
  struct iovec part = {name, sizeof name - 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &master, sizeof master);
  if (::sendmsg(socket.get(), &message, MSG_NOSIGNAL) < 0) fail_errno("send the terminal to {}", socket_path);
}

NewContainer::NewContainer(const Context& context, const LaunchRequest& request)
    : context_(context), request_(request), bundle_(load_bundle(request.bundle)) {
  check_id(request.id);
  if (!bundle_.spec.linux_) fail(ErrorKind::invalid_argument, "linux: missing");
  const bool terminal = bundle_.spec.process && bundle_.spec.process->terminal;
  if (!request.console_socket.empty() && !terminal)
    fail(ErrorKind::invalid_argument, "cannot use console socket if runc will not detach or allocate tty");
  state_.id = request.id;
  state_.bundle = bundle_.bundle;
  state_.rootfs = bundle_.rootfs;
  state_.created = to_rfc3339_nano(wall_now());
  protect_own_program(context, bundle_.spec);
  prepare_plan();
  context.states.create(state_.id);
}

NewContainer::~NewContainer() {
  if (kept_) return;
  container_.reset();
  if (state_.pid > 0) {
    destroy(context_, state_);
    return;
  }
  if (cgroup_) cgroup_->remove();
  context_.states.remove(state_.id);
}

void NewContainer::prepare_plan() {
  PlanOptions options;
  options.keyring_name = "_ses." + state_.id;
  options.no_new_keyring = request_.no_new_keyring;
  options.cgroup_path = cgroup_path_of(*bundle_.spec.linux_, state_.id);
  options.bundle = bundle_.bundle;
  options.container_id = state_.id;
  plan_ = make_plan(bundle_.spec, host_facts_for(bundle_.spec), rootfs_of(bundle_), options);
  state_.cgroups = context_.options.cgroups;
  state_.cgroup_path = options.cgroup_path;
}

void NewContainer::hand_over_terminal() {
  terminal_ = container_->take_pty_master();
  if (terminal_ && !request_.console_socket.empty()) {
    send_to_console_socket(request_.console_socket, terminal_.get());
    terminal_.reset();
  }
}

void NewContainer::launch(bool wait_for_start_command) {
  UniqueFd gate;
  std::vector<UniqueFd> procs;
  UniqueFd cgroup_directory;
  LaunchInputs inputs;
  inputs.stdio = {0, 1, 2};
  if (state_.cgroups) {
    cgroup_ = kernel::ContainerCgroup::create(kernel::CgroupLayout::detect(), state_.cgroup_path,
                                              limits_of(*bundle_.spec.linux_));
    procs = cgroup_->open_procs();
    cgroup_directory = cgroup_->open_directory();
    for (const UniqueFd& fd : procs) inputs.cgroup.procs.push_back(fd.get());
    inputs.cgroup.directory = cgroup_directory ? cgroup_directory.get() : -1;
  }
  std::vector<int> preserved;
  for (int i = 0; i < request_.preserve; ++i) preserved.push_back(3 + i);
  inputs.preserved = preserved;
  if (wait_for_start_command) {
    gate = context_.states.listen_at_gate(state_.id);
    inputs.gate_listener = gate.get();
  }
  inputs.on_listener = seccomp_agent(bundle_.spec, state_, Status::created);
  container_.emplace(Container::begin(plan_, inputs));
  state_.pid = container_->pid();
  const auto stat = kernel::process_stat(state_.pid);
  state_.start_time = stat ? stat->start_time : 0;
  if (const auto& hooks = bundle_.spec.hooks) {
    const std::string text = state_json(state_, bundle_.spec, Status::creating);
    run_hooks(hooks->prestart, text, "prestart");
    run_hooks(hooks->create_runtime, text, "createRuntime");
  }
  container_->wait_created();
  hand_over_terminal();
  context_.states.save(state_, &bundle_.spec);
  if (!request_.pid_file.empty()) write_pid_file(request_.pid_file, state_.pid);
}

void NewContainer::start() {
  container_->start();
  state_.started = true;
  context_.states.save(state_);
  if (const auto& hooks = bundle_.spec.hooks)
    try_hooks(hooks->poststart, state_json(state_, bundle_.spec, Status::running), "poststart");
}

void destroy(const Context& context, const ContainerState& state) {
  if (const UniqueFd init = open_init(state)) {
    kernel::send_signal(init.get(), SIGKILL);
    // Its end takes the pid namespace with it; a zombie waits for its own parent, not for us.
    struct pollfd waited = {init.get(), POLLIN, 0};
    ::poll(&waited, 1, 10'000);
  }
  if (state.cgroups && !state.cgroup_path.empty()) {
    const auto cgroup = kernel::ContainerCgroup::open(kernel::CgroupLayout::detect(), state.cgroup_path);
    if (cgroup.exists()) cgroup.kill_all();
    // Processes that are just dying keep it busy for a moment.
    for (int attempt = 0; attempt < 200 && !cgroup.remove(); ++attempt) ::poll(nullptr, 0, 5);
  }
  std::vector<std::string> failures;
  try {
    const oci::RuntimeSpec spec = context.states.load_spec(state.id);
    remove_resctrl_of(spec, state.id);
    if (spec.hooks) failures = try_hooks(spec.hooks->poststop, state_json(state, spec, Status::stopped), "poststop");
  } catch (const Error&) {
    // It never got a configuration: nothing to run.
    failures.clear();
  }
  context.states.remove(state.id);
}

}  // namespace bryo::runtime::command

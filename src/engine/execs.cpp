#include "engine/execs.hpp"

#include <csignal>

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "engine/user_lookup.hpp"
#include "kernel/process.hpp"
#include "kernel/start_program.hpp"

namespace bryo::engine {
namespace {

constexpr std::size_t kKeptPerContainer = 512;

void check_up(const Container& container) {
  if (container.status == Status::paused)
    fail(ErrorKind::conflict, "Container {} is paused, unpause the container before exec", container.record.name);
  if (container.status == Status::restarting)
    fail(ErrorKind::conflict, "Container {} is restarting, wait until the container is running", container.record.id);
  if (container.status != Status::running)
    fail(ErrorKind::conflict, "Container {} is not running", container.record.id);
}

std::string command_line(const std::vector<std::string>& words) { return join(words, " "); }

}  // namespace

Execs::ExecPtr Execs::find(std::string_view id) const {
  std::lock_guard lock(mutex_);
  if (const auto found = execs_.find(id); found != execs_.end()) return found->second;
  fail(ErrorKind::not_found, "No such exec instance: {}", printable(id));
}

std::string Execs::create(const ContainerPtr& container, const ExecCreateRequest& request) {
  if (request.cmd.empty() || request.cmd.front().empty())
    fail(ErrorKind::invalid_argument, "No exec command specified");
  for (const std::string& word : request.cmd)
    if (word.find('\0') != std::string::npos) fail(ErrorKind::invalid_argument, "exec command must not contain NUL");
  if (!request.working_dir.empty() && !request.working_dir.starts_with('/'))
    fail(ErrorKind::invalid_argument, "the working directory '{}' is invalid, it needs to be an absolute path",
         printable(request.working_dir));
  auto exec = std::make_shared<Exec>();
  exec->id = random_hex_id();
  exec->container = container;
  exec->request = request;
  Record record;
  {
    std::lock_guard lock(container->mutex);
    check_up(*container);
    container->execs.insert(exec->id);
    record = container->record;
  }
  {
    std::lock_guard lock(mutex_);
    execs_.emplace(exec->id, exec);
  }
  s_.publish(record, "exec_create: " + command_line(request.cmd), {{"execID", exec->id}});
  return exec->id;
}

void Execs::begin(Exec& exec) {
  std::lock_guard lock(mutex_);
  if (exec.state == State::running) fail(ErrorKind::conflict, "Error: Exec command {} is already running", exec.id);
  if (exec.state == State::ended) fail(ErrorKind::conflict, "Error: Exec command {} has already run", exec.id);
  exec.state = State::running;
}

monitor::ExecRequest Execs::make_request(const Exec& exec, const Record& record, int pid, bool bypass,
                                         const ExecStartRequest& request) {
  ExecCreateRequest asked = exec.request;
  if (request.console_size) asked.console_size = request.console_size;
  ResolvedUser user = record.user.value_or(ResolvedUser{});
  if (!asked.user.empty()) {
    // The container's own files, as they are now: a user made in the running container counts.
    const auto root = kernel::RootDirectory::open(fmt::format("/proc/{}/root", pid));
    user = lifecycle_.launcher().user_of(record, asked.user, root);
  }
  const SpecInputs inputs = lifecycle_.launcher().spec_inputs(record, bypass);
  const auto spec = build_exec_spec(inputs);
  runtime::PlanOptions options;
  options.default_seccomp = default_seccomp(inputs);
  const auto plan = runtime::make_exec_plan(build_process(inputs, asked, user), spec, s_.facts, options);
  monitor::ExecRequest out;
  out.exec_id = exec.id;
  out.plan = runtime::serialize(plan);
  out.terminal = asked.tty;
  out.attach.stdin_stream = !request.detach && asked.attach_stdin;
  out.attach.stdout_stream = !request.detach && asked.attach_stdout;
  out.attach.stderr_stream = !request.detach && asked.attach_stderr;
  if (asked.console_size)
    out.console_size = {static_cast<std::uint16_t>((*asked.console_size)[0]),
                        static_cast<std::uint16_t>((*asked.console_size)[1])};
  return out;
}

Stream Execs::start(std::string_view id, const ExecStartRequest& request) {
  const ExecPtr exec = find(id);
  begin(*exec);
  try {
    Record record;
    std::shared_ptr<monitor::Monitor> monitor;
    int pid = 0;
    bool bypass = false;
    {
      std::lock_guard lock(exec->container->mutex);
      check_up(*exec->container);
      record = exec->container->record;
      monitor = exec->container->monitor;
      pid = exec->container->process.pid;
      bypass = exec->container->bypass;
    }
    s_.publish(record, "exec_start: " + command_line(exec->request.cmd), {{"execID", exec->id}});
    auto started = monitor->exec(make_request(*exec, record, pid, bypass, request));
    std::lock_guard lock(mutex_);
    exec->pid = started.pid;
    exec->start_time = started.start_time;
    return {std::move(started.stream), exec->request.tty};
  } catch (const Error& error) {
    {
      std::lock_guard lock(mutex_);
      exec->state = State::ended;
      exec->code = error.exit_code() != 0 ? error.exit_code() : 126;
    }
    if (error.exit_code() == 0) throw;
    throw Error(ErrorKind::invalid_argument,
                fmt::format("OCI runtime exec failed: exec failed: unable to start container process: {}: unknown",
                            error.message()))
        .with_exit_code(error.exit_code());
  }
}

void Execs::detached(std::string_view id) {
  try {
    const ExecPtr exec = find(id);
    s_.publish(*exec->container, "exec_detach", {{"execID", exec->id}});
  } catch (const Error&) {
    // The container has gone in the meantime, and the exec with it.
  }
}

void Execs::resize(std::string_view id, unsigned rows, unsigned columns) {
  const ExecPtr exec = find(id);
  std::shared_ptr<monitor::Monitor> monitor;
  {
    std::lock_guard lock(mutex_);
    if (exec->state != State::running) fail(ErrorKind::conflict, "exec process {} is not running", exec->id);
  }
  {
    std::lock_guard lock(exec->container->mutex);
    check_up(*exec->container);
    monitor = exec->container->monitor;
  }
  monitor->resize(exec->id, {static_cast<std::uint16_t>(rows), static_cast<std::uint16_t>(columns)});
}

ExecInspect Execs::inspect(std::string_view id) const {
  const ExecPtr exec = find(id);
  std::lock_guard lock(mutex_);
  ExecInspect out;
  out.id = exec->id;
  out.running = exec->state == State::running;
  out.exit_code = exec->code;
  out.process_config.tty = exec->request.tty;
  out.process_config.entrypoint = exec->request.cmd.front();
  out.process_config.arguments.assign(exec->request.cmd.begin() + 1, exec->request.cmd.end());
  out.process_config.privileged = exec->request.privileged;
  out.process_config.user = exec->request.user;
  out.open_stdin = exec->request.attach_stdin;
  out.open_stdout = exec->request.attach_stdout;
  out.open_stderr = exec->request.attach_stderr;
  out.container_id = exec->container->record.id;
  out.detach_keys = exec->request.detach_keys;
  out.pid = exec->pid;
  return out;
}

std::optional<int> Execs::wait(std::string_view id, std::chrono::steady_clock::time_point deadline) const {
  const ExecPtr exec = find(id);
  std::unique_lock lock(mutex_);
  if (!changed_.wait_until(lock, deadline, [&] { return exec->state == State::ended; })) return std::nullopt;
  return exec->code.value_or(137);
}

void Execs::end(std::string_view id, std::chrono::milliseconds patience) const {
  const ExecPtr exec = find(id);
  UniqueFd process;
  {
    std::lock_guard lock(mutex_);
    if (exec->state == State::running && exec->pid > 0) process = kernel::open_process(exec->pid, exec->start_time);
  }
  if (!process || !kernel::send_signal(process.get(), SIGTERM)) return;
  if (!kernel::wait_for_end(process.get(), static_cast<int>(patience.count())))
    kernel::send_signal(process.get(), SIGKILL);
}

void Execs::ended(const std::string& container, const std::string& exec_id, int code) {
  ExecPtr exec;
  {
    std::lock_guard lock(mutex_);
    const auto found = execs_.find(exec_id);
    if (found == execs_.end()) return;
    exec = found->second;
    exec->state = State::ended;
    exec->code = code;
    changed_.notify_all();
  }
  s_.pool.post([this, exec, code, container] {
    Record record;
    std::vector<std::string> surplus;
    {
      std::lock_guard lock(exec->container->mutex);
      record = exec->container->record;
      auto& all = exec->container->execs;
      while (all.size() > kKeptPerContainer) {
        auto oldest = all.begin();
        if (*oldest == exec->id) ++oldest;
        surplus.push_back(*oldest);
        all.erase(oldest);
      }
    }
    s_.publish(record, "exec_die", {{"execID", exec->id}, {"exitCode", std::to_string(code)}});
    std::lock_guard lock(mutex_);
    for (const std::string& id : surplus)
      if (const auto found = execs_.find(id); found != execs_.end() && found->second->state == State::ended)
        execs_.erase(found);
  });
}

void Execs::container_down(const ContainerPtr& container) {
  std::lock_guard lock(mutex_);
  for (auto& [id, exec] : execs_) {
    if (exec->container != container || exec->state != State::running) continue;
    exec->state = State::ended;
    if (!exec->code) exec->code = 137;
  }
  changed_.notify_all();
}

void Execs::forget(const ContainerPtr& container) {
  std::lock_guard lock(mutex_);
  std::erase_if(execs_, [&](const auto& entry) { return entry.second->container == container; });
}

}  // namespace bryo::engine

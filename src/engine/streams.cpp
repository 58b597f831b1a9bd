#include "engine/streams.hpp"

#include <sys/socket.h>

#include <cerrno>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"

namespace bryo::engine {
namespace {

std::pair<UniqueFd, UniqueFd> socket_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) fail_errno("make a socket pair");
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::optional<WallTime> time_of(std::string_view text, std::string_view what) {
  if (text.empty() || text == "0") return std::nullopt;
  const auto time = parse_timestamp(text, wall_now());
  if (!time)
    fail(ErrorKind::invalid_argument, "invalid value for \"{}\": failed to parse \"{}\" as time", what,
         printable(text));
  return time;
}

monitor::LogQuery query_of(const LogsRequest& request, bool tty) {
  monitor::LogQuery query;
  query.since = time_of(request.since, "since");
  query.until = time_of(request.until, "until");
  query.stdout_stream = request.out;
  query.stderr_stream = request.err;
  query.timestamps = request.timestamps;
  query.details = request.details;
  query.raw = tty;
  // Docker: "all", nothing, or anything that is no number means all.
  if (const auto tail = parse_integer<std::uint64_t>(request.tail)) query.tail = *tail;
  return query;
}

std::string log_path(const Services& services, const std::string& id) {
  return services.container_directory(id) + "/" + id + "-json.log";
}

// The log as it is now; false when the client has gone. Its pace decides.
bool send_log(monitor::LogReader& reader, int socket) {
  std::string frames;
  while (reader.next(frames)) {
    std::string_view rest = frames;
    while (!rest.empty()) {
      const ssize_t sent = ::send(socket, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return false;
      rest.remove_prefix(static_cast<std::size_t>(sent));
    }
    frames.clear();
  }
  return true;
}

// Writes the log as it is now into a socket, on a thread of the pool.
UniqueFd pump(Services& services, const std::string& path, const monitor::LogQuery& query) {
  auto reader = std::make_shared<monitor::LogReader>(path, query);
  auto [mine, theirs] = socket_pair();
  auto out = std::make_shared<UniqueFd>(std::move(mine));
  services.readers.post([reader, out] { send_log(*reader, out->get()); });
  return std::move(theirs);
}

// The container's streams into a socket; of one that does not run once it does, so that no byte is missed.
void connect(Container& container, const monitor::AttachRequest& wanted, UniqueFd socket) {
  std::unique_lock lock(container.mutex);
  if (container.is_up()) {
    const auto monitor = container.monitor;
    lock.unlock();
    monitor->attach_to(wanted, std::move(socket));
    return;
  }
  container.pending.push_back(
      {{.in = wanted.stdin_stream, .out = wanted.stdout_stream, .err = wanted.stderr_stream}, std::move(socket)});
}

// What was said so far, then the streams, as one stream. The log ends a moment before the streams begin.
UniqueFd replay(Services& services, const ContainerPtr& container, const std::string& id,
                const monitor::AttachRequest& wanted, const monitor::LogQuery& query) {
  std::shared_ptr<monitor::LogReader> reader;
  try {
    reader = std::make_shared<monitor::LogReader>(log_path(services, id), query);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found) throw;  // never started: nothing was said
  }
  auto [mine, theirs] = socket_pair();
  auto socket = std::make_shared<UniqueFd>(std::move(mine));
  services.readers.post([container, wanted, reader, socket] {
    if (reader && !send_log(*reader, socket->get())) return;
    try {
      connect(*container, wanted, std::move(*socket));
    } catch (const Error& error) {
      log::warning("attach after the log: {}", error.what());  // it ended in between: the client sees the end
    }
  });
  return std::move(theirs);
}

UniqueFd empty_stream() {
  auto [mine, theirs] = socket_pair();
  return std::move(theirs);  // the other end closes here: end of file
}

}  // namespace

Stream open_logs(Services& services, const ContainerPtr& container, const LogsRequest& request) {
  if (!request.out && !request.err)
    fail(ErrorKind::invalid_argument, "Bad parameters: you must choose at least one stream");
  Record record;
  bool up = false;
  {
    std::lock_guard lock(container->mutex);
    record = container->record;
    up = container->is_up() || container->status == Status::restarting;
  }
  if (record.host_config.log_config.type == "none")
    fail(ErrorKind::unsupported, "configured logging driver does not support reading");
  const auto query = query_of(request, record.config.tty);
  const std::string path = log_path(services, record.id);
  try {
    if (request.follow && up) return {services.logs.follow(record.id, path, query), record.config.tty};
    return {pump(services, path, query), record.config.tty};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found) throw;
    return {empty_stream(), record.config.tty};  // never started
  }
}

Stream attach(Services& services, const ContainerPtr& container, const AttachRequest& request) {
  std::unique_lock lock(container->mutex);
  const bool tty = container->record.config.tty;
  if (container->status == Status::paused)
    fail(ErrorKind::conflict, "container {} is paused, unpause the container before attach", container->record.id);
  if (container->status == Status::restarting)
    fail(ErrorKind::conflict, "container {} is restarting, wait until the container is running", container->record.id);
  if (request.logs && !request.stream) {
    lock.unlock();
    return open_logs(services, container, {.out = request.out, .err = request.err});
  }
  monitor::AttachRequest wanted;
  wanted.stdin_stream = request.in && container->record.config.open_stdin;
  wanted.stdout_stream = request.out;
  wanted.stderr_stream = request.err && !tty;
  if (request.logs && container->record.host_config.log_config.type != "none") {
    const std::string id = container->record.id;
    lock.unlock();
    LogsRequest all{.out = request.out, .err = request.err};
    return {replay(services, container, id, wanted, query_of(all, tty)), tty};
  }
  if (container->status == Status::running) {
    const auto monitor = container->monitor;
    lock.unlock();
    return {monitor->attach(wanted), tty};
  }
  lock.unlock();
  auto [mine, theirs] = socket_pair();
  connect(*container, wanted, std::move(mine));
  return {std::move(theirs), tty};
}

void resize(const ContainerPtr& container, unsigned rows, unsigned columns) {
  if (rows > 65535 || columns > 65535) fail(ErrorKind::invalid_argument, "invalid size {}x{}", rows, columns);
  std::shared_ptr<monitor::Monitor> monitor;
  {
    std::lock_guard lock(container->mutex);
    if (!container->is_up()) fail(ErrorKind::conflict, "Container {} is not running", container->record.id);
    monitor = container->monitor;
  }
  monitor->resize("", {static_cast<std::uint16_t>(rows), static_cast<std::uint16_t>(columns)});
}

}  // namespace bryo::engine

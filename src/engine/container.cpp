#include "engine/container.hpp"

#include "base/error.hpp"

namespace bryo::engine {

std::string_view to_string(MapMode mode) {
  switch (mode) {
    case MapMode::host:
      return "host";
    case MapMode::daemon:
      return "daemon";
    case MapMode::automatic:
      return "auto";
    case MapMode::keep_id:
      return "keep-id";
  }
  return "host";
}

std::string_view to_string(Status status) {
  switch (status) {
    case Status::created:
      return "created";
    case Status::running:
      return "running";
    case Status::paused:
      return "paused";
    case Status::restarting:
      return "restarting";
    case Status::removing:
      return "removing";
    case Status::exited:
      return "exited";
    case Status::dead:
      return "dead";
  }
  return "dead";
}

bool may_change(Status from, Status to) {
  switch (to) {
    case Status::created:
      return false;
    case Status::running:
      return from != Status::removing && from != Status::dead && from != Status::running;
    case Status::paused:
      return from == Status::running;
    case Status::restarting:
      return from == Status::exited;
    case Status::removing:
      return from != Status::running && from != Status::paused;
    case Status::exited:
      return from != Status::removing && from != Status::dead;
    case Status::dead:
      return from == Status::removing;
  }
  return false;
}

void Container::change(Status to) {
  if (!may_change(status, to))
    fail(ErrorKind::internal, "container {}: cannot go from {} to {}", record.id, to_string(status), to_string(to));
  status = to;
  changed.notify_all();
}

}  // namespace bryo::engine

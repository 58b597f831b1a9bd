// docker ps: which containers match, and what each line says.
#include <algorithm>
#include <regex>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "engine/ports.hpp"
#include "engine/views.hpp"

namespace bryo::engine {
namespace {

using Values = std::vector<std::string>;

const Values* filter(const Filters& filters, const std::string& name) {
  const auto found = filters.find(name);
  return found == filters.end() || found->second.empty() ? nullptr : &found->second;
}

// Docker matches names and ids as unanchored regular expressions; a broken one matches as plain text.
bool matches_pattern(const std::string& text, const std::string& pattern) {
  if (pattern.size() > 256) return false;
  const bool plain = pattern.find_first_of("^$.*+?()[]{}|\\") == std::string::npos;
  if (plain) return text.find(pattern) != std::string::npos;
  try {
    return std::regex_search(text, std::regex(pattern));
  } catch (const std::regex_error&) {
    return text.find(pattern) != std::string::npos;
  }
}

bool label_matches(const Labels& labels, const std::string& wanted) {
  const auto parts = split_once(wanted, '=');
  const auto found = labels.find(std::string(parts ? parts->first : std::string_view(wanted)));
  return found != labels.end() && (!parts || found->second == parts->second);
}

template <typename Test>
bool any(const Values& values, const Test& test) {
  return std::any_of(values.begin(), values.end(), test);
}

const std::vector<std::string> kKnown = {"ancestor", "before",  "exited",    "expose", "health",
                                         "id",       "is-task", "isolation", "label",  "name",
                                         "network",  "publish", "since",     "status", "volume"};

class Matcher {
 public:
  Matcher(Services& services, const ListRequest& request) : s_(services), request_(request) {
    for (const auto& [name, values] : request.filters)
      if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end())
        fail(ErrorKind::invalid_argument, "invalid filter '{}'", printable(name));
    if (const auto* values = filter(request.filters, "status"))
      for (const std::string& value : *values) check_status(value);
    if (const auto* values = filter(request.filters, "ancestor"))
      for (const std::string& value : *values)
        if (const auto image = s_.images.find(value)) ancestors_.push_back(image->id.str());
    before_ = created_of("before");
    since_ = created_of("since");
  }

  // The caller holds the container's mutex.
  bool operator()(const Container& container) const {
    const Filters& f = request_.filters;
    const Record& record = container.record;
    const bool shown = request_.all || container.is_up() || container.status == Status::restarting ||
                       filter(f, "status") != nullptr || filter(f, "exited") != nullptr;
    if (!shown) return false;
    if (const auto* v = filter(f, "status");
        v != nullptr && !any(*v, [&](auto& x) { return x == to_string(container.status); }))
      return false;
    if (const auto* v = filter(f, "name");
        v != nullptr &&
        !any(*v, [&](auto& x) { return matches_pattern("/" + record.name, x) || matches_pattern(record.name, x); }))
      return false;
    if (const auto* v = filter(f, "id"); v != nullptr && !any(*v, [&](auto& x) { return record.id.starts_with(x); }))
      return false;
    if (const auto* v = filter(f, "label"); v != nullptr && !std::all_of(v->begin(), v->end(), [&](auto& x) {
                                              return label_matches(record.config.labels, x);
                                            }))
      return false;
    if (const auto* v = filter(f, "exited");
        v != nullptr && (container.status != Status::exited ||
                         !any(*v, [&](auto& x) { return parse_integer<int>(x) == record.exit_code; })))
      return false;
    if (filter(f, "ancestor") != nullptr && !any(ancestors_, [&](auto& x) { return x == record.image_id; }))
      return false;
    if (!before_.empty() && record.created >= before_) return false;
    if (!since_.empty() && record.created <= since_) return false;
    return matches_runtime(container);
  }

 private:
  bool matches_runtime(const Container& container) const {
    const Filters& f = request_.filters;
    const Record& record = container.record;
    if (const auto* v = filter(f, "health")) {
      const std::string health = container.health ? container.health->status : "none";
      if (!any(*v, [&](auto& x) { return x == health; })) return false;
    }
    if (const auto* v = filter(f, "network");
        v != nullptr && !any(*v, [&](auto& x) { return record.networks.contains(x) || any_endpoint(container, x); }))
      return false;
    if (const auto* v = filter(f, "volume");
        v != nullptr && !any(*v, [&](auto& x) {
          return std::any_of(record.mounts.begin(), record.mounts.end(), [&](const ResolvedMount& mount) {
            return mount.point.name == x || mount.point.destination == x || mount.point.source == x;
          });
        }))
      return false;
    const auto port_matches = [&](const std::string& wanted, bool published) {
      const ContainerPort port = parse_port(wanted);
      for (const PortSummary& one : port_summaries(record, container.ports))
        if ((published ? one.public_port : one.private_port) == port.number &&
            one.type == network::to_string(port.protocol))
          return true;
      return false;
    };
    if (const auto* v = filter(f, "publish"); v != nullptr && !any(*v, [&](auto& x) { return port_matches(x, true); }))
      return false;
    if (const auto* v = filter(f, "expose"); v != nullptr && !any(*v, [&](auto& x) { return port_matches(x, false); }))
      return false;
    return true;
  }

  static bool any_endpoint(const Container& container, const std::string& network) {
    return std::any_of(container.endpoints.begin(), container.endpoints.end(), [&](const network::Endpoint& endpoint) {
      return endpoint.network_name == network || endpoint.network_id.starts_with(network);
    });
  }

  static void check_status(const std::string& value) {
    for (const Status status : {Status::created, Status::running, Status::paused, Status::restarting, Status::removing,
                                Status::exited, Status::dead})
      if (value == to_string(status)) return;
    fail(ErrorKind::invalid_argument, "invalid filter 'status={}'", printable(value));
  }

  std::string created_of(const std::string& name) const {
    const auto* values = filter(request_.filters, name);
    if (values == nullptr) return {};
    const auto found = s_.containers.find(values->front());
    std::lock_guard lock(found->mutex);
    return found->record.created;
  }

  Services& s_;
  const ListRequest& request_;
  std::vector<std::string> ancestors_;
  std::string before_;
  std::string since_;
};

// The name that the image was asked for by, unless it names another image by now: then the id, as Docker shows.
std::string shown_image(Services& services, const Record& record) {
  const auto image = services.images.find(record.image_ref);
  return image && image->id.str() == record.image_id ? record.image_ref : record.image_id;
}

ContainerSummary summary_of(Services& services, const Container& container, WallTime now) {
  ContainerSummary out;
  const Record& record = container.record;
  out.id = record.id;
  out.names = {"/" + record.name};
  out.image = record.image_ref;
  out.image_id = record.image_id;
  out.command = record.path;
  for (const std::string& arg : record.args)
    out.command += arg.find(' ') == std::string::npos ? " " + arg : fmt::format(" '{}'", arg);
  const auto created = parse_rfc3339(record.created);
  out.created = created ? std::chrono::floor<std::chrono::seconds>(*created).time_since_epoch().count() : 0;
  if (container.is_up()) out.ports = port_summaries(record, container.ports);
  out.labels = record.config.labels;
  out.state = to_string(container.status);
  out.status = status_text(container, now);
  out.host_config.annotations = record.host_config.annotations;
  out.host_config.network_mode =
      record.host_config.network_mode == "bridge" ? "default" : record.host_config.network_mode;
  out.network_settings.networks = network_view(container, services.networks).networks;
  for (const ResolvedMount& mount : record.mounts)
    if (mount.point.type != "tmpfs") out.mounts.push_back(mount.point);
  return out;
}

}  // namespace

std::vector<ContainerSummary> list_view(Services& services, const ListRequest& request) {
  const Matcher matches(services, request);
  const WallTime now = wall_now();
  std::vector<std::pair<std::string, ContainerPtr>> ordered;
  for (ContainerPtr& container : services.containers.all()) {
    std::string created;
    {
      std::lock_guard lock(container->mutex);
      created = container->record.created;
    }
    ordered.emplace_back(std::move(created), std::move(container));
  }
  std::sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) { return a.first > b.first; });

  std::vector<ContainerSummary> out;
  ListRequest every = request;
  every.all = request.all || request.limit > 0;
  const Matcher limited(services, every);
  for (const auto& [created, container] : ordered) {
    if (request.limit > 0 && out.size() >= static_cast<std::size_t>(request.limit)) break;
    Record record;
    {
      std::lock_guard lock(container->mutex);
      if (!(request.limit > 0 ? limited : matches)(*container)) continue;
      out.push_back(summary_of(services, *container, now));
      record = container->record;
    }
    out.back().image = shown_image(services, record);
    if (!request.size) continue;
    const auto usage = services.snapshots->usage(services.snapshot_of(record.id));
    out.back().size_rw = static_cast<std::int64_t>(usage.writable_bytes);
    out.back().size_root_fs = static_cast<std::int64_t>(usage.virtual_bytes);
  }
  return out;
}

}  // namespace bryo::engine

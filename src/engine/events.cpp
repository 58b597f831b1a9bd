#include "engine/events.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::engine {
namespace {

constexpr std::array kFilters = {"config", "container", "daemon", "event",  "image",   "label", "network",
                                 "node",   "plugin",    "scope",  "secret", "service", "type",  "volume"};
constexpr auto kSweep = std::chrono::seconds(2);
constexpr std::size_t kKept = 256;
constexpr std::size_t kKeptBytes = 256U << 10;

bool contains(const std::vector<std::string>& values, std::string_view wanted) {
  return std::find(values.begin(), values.end(), wanted) != values.end();
}

bool label_matches(const Labels& attributes, std::string_view filter) {
  const auto equals = filter.find('=');
  const auto found = attributes.find(std::string(filter.substr(0, equals)));
  if (found == attributes.end()) return false;
  return equals == std::string_view::npos || found->second == filter.substr(equals + 1);
}

// A filter that names an object: by id, id prefix or name, for events of that type.
bool object_matches(const Event& event, std::string_view type, const std::vector<std::string>& wanted) {
  const auto name = event.attributes.find("name");
  const auto of_container = event.attributes.find(std::string(type));
  return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& want) {
    if (event.type == type) {
      if (event.actor_id == want || (want.size() >= 4 && event.actor_id.starts_with(want))) return true;
      if (name != event.attributes.end() && name->second == want) return true;
    }
    return of_container != event.attributes.end() && of_container->second == want;
  });
}

bool image_matches(const Event& event, const std::vector<std::string>& wanted) {
  const auto image = event.attributes.find(event.type == "image" ? "name" : "image");
  return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& want) {
    if (event.type == "image" && event.actor_id == want) return true;
    if (image == event.attributes.end()) return false;
    return image->second == want || image->second.substr(0, image->second.rfind(':')) == want;
  });
}

}  // namespace

json::Value to_json(const Event& event) {
  json::Object out;
  if (event.type == "container" || event.type == "image") {
    out["status"] = event.action;
    out["id"] = event.actor_id;
    if (const auto image = event.attributes.find("image"); event.type == "container" && image != event.attributes.end())
      out["from"] = image->second;
  }
  out["Type"] = event.type;
  out["Action"] = event.action;
  out["Actor"] = json::Object{{"ID", event.actor_id}, {"Attributes", json::encode(event.attributes)}};
  out["scope"] = "local";
  const auto nanos = event.time.time_since_epoch().count();
  out["time"] = nanos / 1'000'000'000;
  out["timeNano"] = nanos;
  return out;
}

Event event_of(const json::Value& value, WallTime time) {
  const json::Object& object = value.as_object();
  const json::Object& actor = object.at("Actor").as_object();
  const auto text = [](const json::Value& one) { return std::string(one.as_string()); };
  return {text(object.at("Type")), text(object.at("Action")), text(actor.at("ID")),
          json::decode<Labels>(actor.at("Attributes")), time};
}

bool matches(const Event& event, const Filters& filters) {
  for (const auto& [name, values] : filters) {
    if (values.empty()) continue;
    bool ok = true;
    if (name == "type")
      ok = contains(values, event.type);
    else if (name == "event")
      ok = contains(values, event.action) || contains(values, event.action.substr(0, event.action.find(':')));
    else if (name == "container" || name == "network" || name == "volume")
      ok = object_matches(event, name, values);
    else if (name == "image")
      ok = image_matches(event, values);
    else if (name == "label")
      ok = std::all_of(values.begin(), values.end(),
                       [&](const auto& value) { return label_matches(event.attributes, value); });
    else if (name == "scope")
      ok = contains(values, "local");
    if (!ok) return false;
  }
  return true;
}

EventHistory::EventHistory() : bytes_(new char[kKeptBytes]), entries_(kKept) {}

void EventHistory::add(WallTime time, std::string_view line) {
  if (line.size() > kKeptBytes) return;
  std::size_t begin = 0;
  if (count_ > 0) begin = at(count_ - 1).begin + at(count_ - 1).size;
  if (begin + line.size() > kKeptBytes) {
    // Starts again at the front; what lay behind the newest is the oldest.
    while (count_ > 0 && at(0).begin >= begin) forget_oldest();
    begin = 0;
  }
  const auto in_the_way = [&](const Entry& entry) {
    return entry.begin < begin + line.size() && begin < entry.begin + entry.size;
  };
  while (count_ > 0 && (count_ == entries_.size() || in_the_way(at(0)))) forget_oldest();
  line.copy(bytes_.get() + begin, line.size());
  ++count_;
  at(count_ - 1) = {time, begin, line.size()};
}

void EventHistory::forget_oldest() {
  first_ = (first_ + 1) % entries_.size();
  --count_;
}

void EventHistory::each(const std::function<void(WallTime, std::string_view)>& visit) const {
  for (std::size_t i = 0; i < count_; ++i) visit(at(i).time, {bytes_.get() + at(i).begin, at(i).size});
}

std::optional<WallTime> EventHistory::newest() const {
  if (count_ == 0) return std::nullopt;
  return at(count_ - 1).time;
}

void EventBus::publish(std::string type, std::string action, std::string actor_id, Labels attributes) {
  std::lock_guard lock(mutex_);
  Event event{std::move(type), std::move(action), std::move(actor_id), std::move(attributes), wall_now()};
  // The clock may step back; the stream may not.
  if (const auto newest = recent_.newest(); newest && event.time <= *newest)
    event.time = *newest + std::chrono::nanoseconds(1);
  const std::string line = json::serialize(to_json(event)) + "\n";
  subscribers_.remove_if([&](const auto& subscriber) {
    return matches(event, subscriber->filters) ? !send(*subscriber, line) : !is_open(*subscriber);
  });
  recent_.add(event.time, line);
}

bool EventBus::is_open(const Subscriber& subscriber) {
  char byte = 0;
  return ::recv(subscriber.fd.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) != 0;
}

// Readers that left are forgotten also when nothing happens.
void EventBus::sweep() {
  std::lock_guard lock(mutex_);
  subscribers_.remove_if([](const auto& subscriber) { return !is_open(*subscriber); });
  sweeping_ = !subscribers_.empty();
  if (sweeping_) pool_.post_after(kSweep, [this] { sweep(); });
}

bool EventBus::send(const Subscriber& subscriber, std::string_view lines) {
  const auto sent = ::send(subscriber.fd.get(), lines.data(), lines.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(lines.size());
}

UniqueFd EventBus::subscribe(std::optional<WallTime> since, std::optional<WallTime> until, Filters filters) {
  for (const auto& [name, values] : filters)
    if (std::find(kFilters.begin(), kFilters.end(), name) == kFilters.end())
      fail(ErrorKind::invalid_argument, "invalid filter '{}'", printable(name));
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) fail_errno("make a socket for events");
  UniqueFd reader(pair[0]);
  auto subscriber = std::make_shared<Subscriber>(Subscriber{UniqueFd(pair[1]), std::move(filters)});
  ::setsockopt(subscriber->fd.get(), SOL_SOCKET, SO_SNDBUF, &send_buffer_, sizeof send_buffer_);

  std::lock_guard lock(mutex_);
  // In one piece: of small ones, each with its own overhead, a socket's buffer holds fewer.
  std::string past;
  if (since)
    recent_.each([&](WallTime time, std::string_view line) {
      if (time < *since || (until && time > *until)) return;
      if (matches(event_of(json::parse(line), time), subscriber->filters)) past += line;
    });
  if (!past.empty() && !send(*subscriber, past)) return reader;
  if (until && *until <= wall_now()) return reader;
  subscribers_.push_back(subscriber);
  if (!std::exchange(sweeping_, true)) pool_.post_after(kSweep, [this] { sweep(); });
  if (until) end_later(subscriber, *until);
  return reader;
}

void EventBus::end_later(const std::shared_ptr<Subscriber>& subscriber, WallTime until) {
  pool_.post_after(until - wall_now(), [this, weak = std::weak_ptr(subscriber)] {
    const auto alive = weak.lock();
    std::lock_guard lock(mutex_);
    if (alive) subscribers_.remove(alive);
  });
}

}  // namespace bryo::engine

#include "cli/http/client.hpp"

#include <poll.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/format/escape.hpp"

namespace bryo::cli {
namespace {

constexpr std::size_t kMaxText = 64 << 20;

ErrorKind kind_of(int status) {
  switch (status) {
    case 400:
      return ErrorKind::invalid_argument;
    case 401:
      return ErrorKind::unauthorized;
    case 403:
      return ErrorKind::permission;
    case 404:
      return ErrorKind::not_found;
    case 409:
      return ErrorKind::conflict;
    case 501:
      return ErrorKind::unsupported;
    case 503:
      return ErrorKind::unavailable;
    default:
      return ErrorKind::internal;
  }
}

std::string daemon_message(const std::string& body) {
  try {
    const json::Value answer = json::parse(body);
    if (const auto* object = answer.if_object())
      if (const auto* message = object->if_contains("message"); message != nullptr && message->is_string())
        return std::string(message->get_string().data(), message->get_string().size());
  } catch (const Error&) {
    // Not JSON: an old daemon or a proxy; its text will do.
  }
  return std::string(trim(body));
}

// Minor of "1.47"; nullopt for anything else.
std::optional<int> parse_version(std::string_view text) {
  if (!text.starts_with("1.")) return std::nullopt;
  return parse_integer<int>(text.substr(2));
}

bool has_input(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, 0) > 0;
}

}  // namespace

Answer::~Answer() {
  if (connection_ && connection_->reusable()) client_->give_back(std::move(connection_));
}

std::size_t Answer::read(std::span<char> into) { return connection_ ? connection_->read(into) : 0; }

std::string Answer::text() {
  std::string out;
  std::array<char, 16 << 10> block;
  while (const std::size_t got = read(block)) {
    if (out.size() + got > kMaxText)
      fail(ErrorKind::exhausted, "the daemon's answer is larger than {} bytes", kMaxText);
    out.append(block.data(), got);
  }
  return out;
}

json::Value Answer::json() {
  const std::string body = text();
  return trim(body).empty() ? json::Value() : json::parse(body);
}

std::unique_ptr<Connection> Client::take_connection() {
  while (!idle_.empty()) {
    std::unique_ptr<Connection> connection = std::move(idle_.back());
    idle_.pop_back();
    // Input on an idle connection is its end: the daemon closed it.
    if (!has_input(connection->fd())) return connection;
  }
  return std::make_unique<Connection>(connect(config_.endpoint, config_.tls), config_.endpoint.authority());
}

void Client::give_back(std::unique_ptr<Connection> connection) { idle_.push_back(std::move(connection)); }

const Head& Client::ping() {
  if (!ping_) {
    Request request;
    request.method = "HEAD";
    request.target = "/_ping";
    request.headers = config_.headers;
    auto connection = take_connection();
    Head head = connection->exchange(request);
    if (connection->reusable()) give_back(std::move(connection));
    ping_ = std::move(head);
  }
  return *ping_;
}

int Client::minor() {
  if (minor_ == 0) {
    if (config_.forced_minor) return minor_ = *config_.forced_minor;
    const auto offered = parse_version(ping().header("api-version"));
    minor_ = std::clamp(offered.value_or(kOldestMinor), kOldestMinor, kNewestMinor);
  }
  return minor_;
}

void Client::require(int minor_needed, std::string_view what) {
  if (minor() < minor_needed)
    fail(ErrorKind::unsupported, "\"{}\" requires API version 1.{}, but the Docker daemon API version is 1.{}", what,
         minor_needed, minor());
}

Pending Client::begin(Request request) {
  request.target = "/v1." + std::to_string(minor()) + request.target;
  request.headers.insert(request.headers.end(), config_.headers.begin(), config_.headers.end());
  Pending pending{take_connection()};
  pending.connection->begin(request);
  return pending;
}

Answer Client::send_unchecked(Request request) {
  Pending pending = begin(std::move(request));
  Head head = pending.connection->finish();
  return Answer(*this, std::move(pending.connection), std::move(head));
}

Answer Client::finish(Pending pending) {
  Head head = pending.connection->finish();
  return checked(Answer(*this, std::move(pending.connection), std::move(head)));
}

Answer Client::send(Request request) { return checked(send_unchecked(std::move(request))); }

Answer Client::checked(Answer answer) {
  if (answer.status() < 400) return answer;
  const std::string message = terminal_safe(daemon_message(answer.text()), true);
  const std::string text = message.empty() ? fmt::format("request returned status {}", answer.status()) : message;
  throw Error(kind_of(answer.status()), "Error response from daemon: " + text);
}

Answer Client::get(std::string target) {
  Request request;
  request.target = std::move(target);
  return send(std::move(request));
}

Answer Client::post(std::string target) {
  Request request;
  request.method = "POST";
  request.target = std::move(target);
  return send(std::move(request));
}

Answer Client::post(std::string target, const json::Value& body) {
  Request request;
  request.method = "POST";
  request.target = std::move(target);
  request.body = json::serialize(body);
  request.content_type = "application/json";
  return send(std::move(request));
}

Answer Client::remove(std::string target, const json::Value& body) {
  Request request;
  request.method = "DELETE";
  request.target = std::move(target);
  request.body = json::serialize(body);
  request.content_type = "application/json";
  return send(std::move(request));
}

Answer Client::remove(std::string target) {
  Request request;
  request.method = "DELETE";
  request.target = std::move(target);
  return send(std::move(request));
}

}  // namespace bryo::cli

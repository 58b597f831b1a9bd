#include "registry/registry_error.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "base/strings.hpp"
#include "registry/challenge.hpp"

namespace bryo::registry {

namespace {

constexpr std::size_t kMaxBody = 64U << 10;

struct Entry {
  std::string code;
  std::string message;
};
struct Body {
  std::vector<Entry> errors;
  std::string details;  // token services and the hub's older answers
  std::string message;
};

std::string_view reason_phrase(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Request Entity Too Large";
    case 416:
      return "Requested Range Not Satisfiable";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "";
  }
}

RefusalCode code_of(std::string_view code) {
  if (code == "DENIED") return RefusalCode::denied;
  if (code == "UNAUTHORIZED") return RefusalCode::unauthorized;
  if (code == "MANIFEST_UNKNOWN") return RefusalCode::manifest_unknown;
  if (code == "NAME_UNKNOWN") return RefusalCode::name_unknown;
  if (code == "BLOB_UNKNOWN") return RefusalCode::blob_unknown;
  if (code == "TOOMANYREQUESTS") return RefusalCode::too_many;
  return RefusalCode::other;
}

ErrorKind kind_of(int status) {
  if (status == 401) return ErrorKind::unauthorized;
  if (status == 403) return ErrorKind::permission;
  if (status == 404) return ErrorKind::not_found;
  if (status == 400 || status == 405 || status == 413) return ErrorKind::invalid_argument;
  return ErrorKind::unavailable;
}

// "MANIFEST_UNKNOWN" → "manifest unknown"
std::string code_text(std::string_view code) {
  std::string text = to_lower(printable(code, 60));
  std::ranges::replace(text, '_', ' ');
  return text;
}

std::string body_of(HttpResponse& response) {
  std::string text(kMaxBody, '\0');
  text.resize(read_full(response, std::as_writable_bytes(std::span(text))));
  return text;
}

bool lacks_scope(HttpResponse& response) {
  for (const Challenge& challenge : parse_challenges(response.headers("WWW-Authenticate")))
    if (challenge.get("error") == "insufficient_scope") return true;
  return false;
}

}  // namespace

}  // namespace bryo::registry

template <>
struct bryo::json::Fields<bryo::registry::Entry> {
  using T = registry::Entry;
  static constexpr auto list = std::tuple{field("code", &T::code), field("message", &T::message)};
};
template <>
struct bryo::json::Fields<bryo::registry::Body> {
  using T = registry::Body;
  static constexpr auto list =
      std::tuple{field("errors", &T::errors), field("details", &T::details), field("message", &T::message)};
};

namespace bryo::registry {

Refusal read_refusal(HttpResponse& response) {
  const int status = response.status();
  Refusal refusal;
  refusal.kind = kind_of(status);
  refusal.text = fmt::format("received unexpected HTTP status: {} {}", status, reason_phrase(status));
  if (status == 401 && lacks_scope(response)) {
    refusal.code = RefusalCode::denied;
    refusal.text = "denied: requested access to the resource is denied";
    return refusal;
  }
  if (status >= 500) return refusal;
  if (status == 401) {
    refusal.code = RefusalCode::unauthorized;
    refusal.text = "unauthorized: authentication required";
  }
  Body body;
  try {
    body = json::decode<Body>(json::parse(body_of(response)));
  } catch (const Error&) {
    return refusal;  // an HTML page, or nothing: the status says it all
  }
  if (!body.errors.empty()) {
    const Entry& first = body.errors.front();
    refusal.code = code_of(first.code);
    refusal.text = code_text(first.code) + ": " + printable(first.message, 300);
  } else if (!body.details.empty() || !body.message.empty()) {
    const std::string& said = body.details.empty() ? body.message : body.details;
    refusal.text = (status == 401 ? "unauthorized: " : "") + printable(said, 300);
  }
  return refusal;
}

Error registry_error(HttpResponse& response, std::string_view context) {
  const Refusal refusal = read_refusal(response);
  return {refusal.kind, context.empty() ? refusal.text : fmt::format("{}: {}", context, refusal.text)};
}

}  // namespace bryo::registry

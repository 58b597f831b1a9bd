#include "registry/url.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::registry {

namespace {

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Handle = std::unique_ptr<CURLU, FreeUrl>;

[[noreturn]] void fail_url(std::string_view text, std::string_view why) {
  // The query may hold a signature.
  fail(ErrorKind::invalid_argument, "address \"{}\": {}", bryo::printable(text.substr(0, text.find('?')), 200), why);
}

void set(CURLU* handle, const std::string& text) {
  for (const unsigned char c : text)
    if (c <= 0x20 || c == 0x7f) fail_url(text, "blanks or control characters");
  const CURLUcode code = curl_url_set(handle, CURLUPART_URL, text.c_str(), 0);
  if (code != CURLUE_OK) fail_url(text, curl_url_strerror(code));
}

// "" when the part is not there.
std::string get(CURLU* handle, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle, part, &text, flags) != CURLUE_OK) return {};
  const std::unique_ptr<char, decltype(&curl_free)> owner(text, &curl_free);
  return text;
}

Origin origin_of(CURLU* handle, std::string_view text) {
  Origin origin;
  origin.scheme = get(handle, CURLUPART_SCHEME);
  if (origin.scheme != "http" && origin.scheme != "https") fail_url(text, "only http and https are used");
  if (!get(handle, CURLUPART_USER).empty() || !get(handle, CURLUPART_PASSWORD).empty())
    fail_url(text, "user name and password are not allowed here");
  origin.host = to_lower(get(handle, CURLUPART_HOST));
  if (origin.host.starts_with('[')) origin.host = origin.host.substr(1, origin.host.size() - 2);
  const auto port = parse_integer<std::uint16_t>(get(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT));
  if (origin.host.empty() || !port) fail_url(text, "no host");
  origin.port = *port;
  return origin;
}

std::string target_of(CURLU* handle) {
  std::string target = get(handle, CURLUPART_PATH);
  const std::string query = get(handle, CURLUPART_QUERY);
  if (target.empty()) target = "/";
  return query.empty() ? target : target + "?" + query;
}

}  // namespace

std::string Origin::host_and_port() const {
  const std::string shown = host.find(':') == std::string::npos ? host : "[" + host + "]";
  const bool usual = port == (scheme == "https" ? 443 : 80);
  return usual ? shown : shown + ":" + std::to_string(port);
}

std::string Origin::str() const { return scheme + "://" + host_and_port(); }

Url Url::parse(std::string_view text) {
  const Handle handle(curl_url());
  set(handle.get(), std::string(text));
  Url url;
  url.origin_ = origin_of(handle.get(), text);
  url.target_ = target_of(handle.get());
  return url;
}

Url Url::resolve(std::string_view reference) const {
  const Handle handle(curl_url());
  set(handle.get(), str());
  set(handle.get(), std::string(reference));
  Url url;
  url.origin_ = origin_of(handle.get(), reference);
  url.target_ = target_of(handle.get());
  return url;
}

std::string Url::printable() const { return origin_.str() + bryo::printable(target_.substr(0, target_.find('?'))); }

Url Url::with_origin(const Origin& origin) const {
  Url out = *this;
  out.origin_ = origin;
  return out;
}

Url Url::with_query(std::string_view name, std::string_view value) const {
  Url out = *this;
  out.target_ += out.target_.find('?') == std::string::npos ? '?' : '&';
  out.target_ += std::string(name) + "=" + percent_encode(value);
  return out;
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~").find(c) != std::string_view::npos;
    if (plain)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace bryo::registry

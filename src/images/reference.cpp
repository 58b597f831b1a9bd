#include "images/reference.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::images {

namespace {

constexpr std::size_t kMaxName = 255;  // domain and path
constexpr std::size_t kMaxTag = 128;

// Not <cctype>: names are ASCII whatever the locale says.
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_alnum(char c) { return is_digit(c) || is_lower(c) || is_upper(c); }

[[noreturn]] void fail_format() { throw Error(ErrorKind::invalid_argument, "invalid reference format"); }

// path-component := [a-z0-9]+ ((\.|_|__|-+) [a-z0-9]+)*
bool is_component(std::string_view text) {
  std::size_t at = 0;
  while (true) {
    const std::size_t start = at;
    while (at < text.size() && (is_digit(text[at]) || is_lower(text[at]))) ++at;
    if (at == start) return false;
    if (at == text.size()) return true;
    const char separator = text[at];
    std::size_t run = 0;
    while (at < text.size() && text[at] == separator) ++at, ++run;
    const bool allowed = (separator == '.' && run == 1) || (separator == '_' && run <= 2) || separator == '-';
    if (!allowed) return false;
  }
}

bool is_path(std::string_view text) { return std::ranges::all_of(split(text, '/'), is_component); }

// domain-component := alnum | alnum [alnum-]* alnum
bool is_domain_component(std::string_view text) {
  return !text.empty() && is_alnum(text.front()) && is_alnum(text.back()) &&
         std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '-'; });
}

bool is_port(std::string_view text) { return parse_integer<std::uint16_t>(text).has_value() && is_digit(text[0]); }

bool is_ipv6(std::string_view text) {
  return !text.empty() && text.find(':') != std::string_view::npos && std::ranges::all_of(text, [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':';
  });
}

bool is_domain(std::string_view text) {
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos || !is_ipv6(text.substr(1, close - 1))) return false;
    const std::string_view rest = text.substr(close + 1);
    return rest.empty() || (rest.front() == ':' && is_port(rest.substr(1)));
  }
  const auto colon = text.find(':');
  if (colon != std::string_view::npos && !is_port(text.substr(colon + 1))) return false;
  return std::ranges::all_of(split(text.substr(0, colon), '.'), is_domain_component);
}

// The first component is a domain when it looks like one: with a dot or a port, "localhost", or upper case letters.
bool looks_like_domain(std::string_view text) {
  return text.find_first_of(".:[") != std::string_view::npos || text == "localhost" ||
         std::ranges::any_of(text, is_upper);
}

struct Parts {
  std::string domain;
  std::string path;
};

Parts split_domain(std::string_view name) {
  const auto pair = split_once(name, '/');
  Parts parts{std::string(kHubDomain), std::string(name)};
  if (pair && looks_like_domain(pair->first)) parts = {std::string(pair->first), std::string(pair->second)};
  if (parts.domain == "index.docker.io") parts.domain = kHubDomain;
  if (parts.domain == kHubDomain && parts.path.find('/') == std::string::npos) parts.path = "library/" + parts.path;
  return parts;
}

bool is_hex_id(std::string_view text) {
  return text.size() == 64 && std::ranges::all_of(text, [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
}

void check(const Parts& parts) {
  if (std::ranges::any_of(parts.path, is_upper)) {
    if (is_path(to_lower(parts.path)) && is_domain(parts.domain))
      fail(ErrorKind::invalid_argument, "invalid reference format: repository name ({}) must be lowercase", parts.path);
    fail_format();
  }
  if (!is_domain(parts.domain) || !is_path(parts.path)) fail_format();
  if (parts.domain.size() + 1 + parts.path.size() > kMaxName)
    fail(ErrorKind::invalid_argument, "repository name must not be more than {} characters", kMaxName);
}

}  // namespace

bool Reference::is_valid_tag(std::string_view tag) {
  return !tag.empty() && tag.size() <= kMaxTag && (is_alnum(tag.front()) || tag.front() == '_') &&
         std::ranges::all_of(tag, [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

Reference Reference::parse(std::string_view text) {
  if (is_hex_id(text))
    fail(ErrorKind::invalid_argument, "invalid repository name ({}), cannot specify 64-byte hexadecimal strings", text);
  Reference reference;
  std::string_view rest = text;
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    const auto digest = Digest::try_parse(rest.substr(at + 1));
    if (!digest) fail_format();
    reference.digest_ = *digest;
    rest = rest.substr(0, at);
  }
  const auto colon = rest.rfind(':');
  const auto slash = rest.rfind('/');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || slash < colon)) {
    if (!is_valid_tag(rest.substr(colon + 1))) fail_format();
    reference.tag_ = std::string(rest.substr(colon + 1));
    rest = rest.substr(0, colon);
  }
  Parts parts = split_domain(rest);
  check(parts);
  reference.domain_ = std::move(parts.domain);
  reference.path_ = std::move(parts.path);
  return reference;
}

Reference Reference::parse(std::string_view repository, std::string_view tag) {
  const Reference named = parse(repository);
  if (tag.empty()) return named;
  if (const auto digest = Digest::try_parse(tag)) return named.with_digest(*digest);
  return named.with_tag(tag);
}

std::optional<Reference> Reference::try_parse(std::string_view text) {
  try {
    return parse(text);
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::string Reference::familiar_name() const {
  if (domain_ != kHubDomain) return name();
  constexpr std::string_view kLibrary = "library/";
  const bool official = path_.starts_with(kLibrary) && path_.find('/', kLibrary.size()) == std::string::npos;
  const std::string shown = official ? path_.substr(kLibrary.size()) : path_;
  // What is shown must read back as the same name.
  return looks_like_domain(shown.substr(0, shown.find('/'))) && shown.find('/') != std::string::npos ? name() : shown;
}

std::string Reference::str() const {
  return name() + (tag_ ? ":" + *tag_ : "") + (digest_ ? "@" + digest_->str() : "");
}

std::string Reference::familiar() const {
  return familiar_name() + (tag_ ? ":" + *tag_ : "") + (digest_ ? "@" + digest_->str() : "");
}

Reference Reference::with_default_tag() const { return tag_ || digest_ ? *this : with_tag(kDefaultTag); }

Reference Reference::with_tag(std::string_view tag) const {
  if (!is_valid_tag(tag)) throw Error(ErrorKind::invalid_argument, "invalid tag format");
  Reference out = without_tag_and_digest();
  out.tag_ = std::string(tag);
  return out;
}

Reference Reference::with_digest(const Digest& digest) const {
  Reference out = without_tag_and_digest();
  out.digest_ = digest;
  return out;
}

Reference Reference::without_tag_and_digest() const {
  Reference out = *this;
  out.tag_.reset();
  out.digest_.reset();
  return out;
}

}  // namespace bryo::images

#include "cli/auth/reference.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::cli {
namespace {

constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxTag = 128;

[[noreturn]] void malformed() { throw Error(ErrorKind::invalid_argument, "invalid reference format"); }

bool is_lower(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_alnum(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z'); }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

// Lower-case letters and digits with single ".", one or two "_" or any "-" between them.
bool is_component(std::string_view part) {
  if (part.empty() || !is_lower(part.front()) || !is_lower(part.back())) return false;
  for (std::size_t i = 0; i < part.size();) {
    if (is_lower(part[i])) {
      ++i;
      continue;
    }
    const auto end = std::min(part.find_first_not_of(part[i], i), part.size());
    const std::size_t run = end - i;
    const bool good = (part[i] == '.' && run == 1) || (part[i] == '_' && run <= 2) || part[i] == '-';
    if (!good || end == part.size() || !is_lower(part[end])) return false;
    i = end;
  }
  return true;
}

bool is_host(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']'))
    return host.size() > 2 &&
           host.substr(1, host.size() - 2).find_first_not_of("0123456789abcdefABCDEF:") == std::string_view::npos;
  for (const std::string_view label : split(host, '.')) {
    if (label.empty() || !is_alnum(label.front()) || !is_alnum(label.back())) return false;
    if (!std::all_of(label.begin(), label.end(), [](char c) { return is_alnum(c) || c == '-'; })) return false;
  }
  return true;
}

bool is_domain(std::string_view domain) {
  const auto bracket = domain.rfind(']');
  const auto colon = domain.rfind(':');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) return is_host(domain);
  const std::string_view port = domain.substr(colon + 1);
  return is_host(domain.substr(0, colon)) && !port.empty() &&
         port.find_first_not_of("0123456789") == std::string_view::npos;
}

bool is_tag(std::string_view tag) {
  if (tag.empty() || tag.size() > kMaxTag || tag[0] == '.' || tag[0] == '-') return false;
  return std::all_of(tag.begin(), tag.end(), [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool is_hex(std::string_view text) { return text.find_first_not_of("0123456789abcdef") == std::string_view::npos; }

// "sha256:" and at least 32 hex digits; the daemon knows which algorithms there are.
bool is_digest(std::string_view digest) {
  const auto parts = split_once(digest, ':');
  return parts && !parts->first.empty() && parts->second.size() >= 32 && is_hex(to_lower(parts->second)) &&
         std::all_of(parts->first.begin(), parts->first.end(),
                     [](char c) { return is_alnum(c) || std::string_view("+._-").find(c) != std::string_view::npos; });
}

// Where the name's first part is a registry rather than a user of the hub.
bool looks_like_domain(std::string_view part) {
  return part.find_first_of(".:") != std::string_view::npos || part == "localhost" ||
         std::any_of(part.begin(), part.end(), is_upper);
}

}  // namespace

Reference Reference::parse(std::string_view text) {
  if (text.size() == 64 && is_hex(text))
    fail(ErrorKind::invalid_argument, "invalid repository name ({}), cannot specify 64-byte hexadecimal strings", text);
  Reference out;
  std::string_view rest = text;
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    out.digest = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!is_digest(out.digest)) malformed();
  }
  const auto slash = rest.find('/');
  out.domain = kDockerHub;
  if (slash != std::string_view::npos && looks_like_domain(rest.substr(0, slash))) {
    out.domain = rest.substr(0, slash);
    rest.remove_prefix(slash + 1);
    if (out.domain == "index.docker.io") out.domain = kDockerHub;
  }
  if (const auto colon = rest.find(':'); colon != std::string_view::npos) {
    out.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!is_tag(out.tag)) malformed();
  }
  out.path = rest;
  if (out.domain == kDockerHub && rest.find('/') == std::string_view::npos) out.path = "library/" + out.path;
  if (std::any_of(rest.begin(), rest.end(), is_upper))
    fail(ErrorKind::invalid_argument, "invalid reference format: repository name ({}) must be lowercase",
         printable(out.path));
  const auto parts = split(out.path, '/');
  if (!is_domain(out.domain) || !std::all_of(parts.begin(), parts.end(), is_component)) malformed();
  if (out.name().size() > kMaxName)
    fail(ErrorKind::invalid_argument, "repository name must not be more than {} characters", kMaxName);
  return out;
}

std::string Reference::familiar_name() const {
  if (domain != kDockerHub) return name();
  constexpr std::string_view official = "library/";
  const bool short_path = path.starts_with(official) && path.find('/', official.size()) == std::string::npos;
  return short_path ? path.substr(official.size()) : path;
}

std::string Reference::suffix() const {
  std::string out;
  if (!tag.empty()) out += ":" + tag;
  if (!digest.empty()) out += "@" + digest;
  return out;
}

}  // namespace bryo::cli

#include "cli/http/endpoint.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::cli {
namespace {

constexpr std::uint16_t kPlainPort = 2375;
constexpr std::uint16_t kTlsPort = 2376;

bool is_unreserved(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
         c == '.' || c == '~';
}

std::string encode(std::string_view text, std::string_view kept) {
  std::string out;
  for (const char c : text) {
    if (is_unreserved(c) || kept.find(c) != std::string_view::npos)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

[[noreturn]] void refuse(std::string_view text) {
  fail(ErrorKind::invalid_argument,
       "unable to parse docker host `{}`: expected unix:///PATH, tcp://HOST[:PORT] or an absolute path",
       printable(text));
}

// "host:port", "[v6]:port", "host" or ":port".
void parse_authority(std::string_view authority, std::uint16_t default_port, Endpoint& out) {
  std::string_view host = authority;
  std::string_view port;
  const auto colon = authority.rfind(':');
  const auto bracket = authority.rfind(']');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
  }
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  out.host = host.empty() ? "localhost" : std::string(host);
  out.port = default_port;
  if (!port.empty()) {
    const auto number = parse_integer<std::uint16_t>(port);
    if (!number || *number == 0) refuse(out.text);
    out.port = *number;
  }
}

}  // namespace

std::string Endpoint::authority() const {
  if (kind == Kind::unix_socket) return "localhost";
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

Endpoint Endpoint::parse(std::string_view text) {
  Endpoint out;
  out.text = text;
  const auto scheme_end = text.find("://");
  std::string_view scheme = scheme_end == std::string_view::npos ? "" : text.substr(0, scheme_end);
  std::string_view rest = scheme_end == std::string_view::npos ? text : text.substr(scheme_end + 3);
  if (scheme.empty()) scheme = text.starts_with('/') ? "unix" : "tcp";
  if (rest.empty() || rest.find_first_of("\r\n ") != std::string_view::npos) refuse(text);
  if (scheme == "unix") {
    constexpr std::size_t longest = 107;  // sun_path
    if (rest.size() > longest)
      fail(ErrorKind::invalid_argument, "socket path \"{}\" is too long: {} bytes at most", rest, longest);
    out.path = rest;
    return out;
  }
  if (scheme != "tcp" && scheme != "http" && scheme != "https") refuse(text);
  out.kind = Kind::tcp;
  const auto slash = rest.find('/');
  if (slash != std::string_view::npos && slash + 1 != rest.size()) refuse(text);
  parse_authority(rest.substr(0, slash), scheme == "https" ? kTlsPort : kPlainPort, out);
  if (out.text.find("://") == std::string::npos) out.text = "tcp://" + out.text;
  return out;
}

std::string encode_path(std::string_view text) { return encode(text, "/:@"); }
std::string encode_query(std::string_view text) { return encode(text, "/:,"); }

Query& Query::add(std::string_view key, std::string_view value) {
  text_ += text_.empty() ? '?' : '&';
  text_ += encode_query(key);
  text_ += '=';
  text_ += encode_query(value);
  return *this;
}

}  // namespace bryo::cli

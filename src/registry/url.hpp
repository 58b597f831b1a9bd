// Where does a request go? http and https addresses, parsed by the same code that opens the connection (libcurl), so
// that what was checked is what is used.
//
// Values; any thread. Error{invalid_argument} for anything that is not an http or https address, that names a user, or
// that holds control characters.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace bryo::registry {

// What credentials are bound to (RFC 6454).
struct Origin {
  std::string scheme;  // "https", "http"
  std::string host;    // lower case; IPv6 without brackets
  std::uint16_t port = 0;
  auto operator<=>(const Origin&) const = default;

  // "https://example.com:5000"; the scheme's own port is left out.
  std::string str() const;
  // "example.com:5000", "[::1]:5000"; the scheme's own port is left out.
  std::string host_and_port() const;
};

class Url {
 public:
  static Url parse(std::string_view text);
  // What a Location header means, seen from here.
  Url resolve(std::string_view reference) const;

  const Origin& origin() const { return origin_; }
  const std::string& target() const { return target_; }  // path and query, begins with "/"
  std::string str() const { return origin_.str() + target_; }
  // Without the query: signatures of blob stores are secrets.
  std::string printable() const;
  Url with_origin(const Origin& origin) const;
  // Appends "?name=value" or "&name=value", the value percent-encoded.
  Url with_query(std::string_view name, std::string_view value) const;

 private:
  Origin origin_;
  std::string target_;
};

// Everything but letters, digits and -._~ becomes %XX.
std::string percent_encode(std::string_view text);

}  // namespace bryo::registry

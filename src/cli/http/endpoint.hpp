// Where the daemon listens: unix:///path, tcp://host:port, http(s)://host:port, or a bare /path or host:port.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bryo::cli {

struct Endpoint {
  enum class Kind { unix_socket, tcp };
  Kind kind = Kind::unix_socket;
  std::string path;
  std::string host;
  std::uint16_t port = 0;

  // As it was given, for error messages: "unix:///run/bryo/bryo.sock".
  std::string text;
  // The Host header.
  std::string authority() const;

  // Throws Error{invalid_argument}: `unable to parse docker host`.
  static Endpoint parse(std::string_view text);
};

// Percent-encoding for a path segment and for a query value.
std::string encode_path(std::string_view text);
std::string encode_query(std::string_view text);

// "?a=1&b=x": pairs in the order they are added, empty when there are none.
class Query {
 public:
  Query& add(std::string_view key, std::string_view value);
  Query& add_if(bool condition, std::string_view key, std::string_view value) {
    return condition ? add(key, value) : *this;
  }
  const std::string& str() const { return text_; }

 private:
  std::string text_;
};

}  // namespace bryo::cli

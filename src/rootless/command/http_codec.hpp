// HTTP/1.1 of the API's socket as bytes: requests are taken apart, replies are put together. No socket, no system call.
// Boost.Beast is known to this file's .cpp only.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace bryo::rootless::command {

struct HttpRequest {
  std::string method;  // "GET"
  std::string target;  // "/v1/info"
  std::string body;
  bool keep_alive = true;
};

struct HttpReply {
  unsigned status = 200;
  std::string body;  // JSON when it begins with a bracket
};

// Of one connection. Requests of at most 64 KiB.
class HttpReader {
 public:
  HttpReader();
  ~HttpReader();
  HttpReader(HttpReader&&) noexcept;
  HttpReader& operator=(HttpReader&&) noexcept;

  // Error{invalid_argument} for what is not HTTP, or too long: nothing more can be read then.
  void feed(std::string_view bytes);
  // The next complete request.
  std::optional<HttpRequest> take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string to_bytes(const HttpReply& reply, bool keep_alive);

}  // namespace bryo::rootless::command

// One HTTP/1 request, byte by byte: where does its head end, what is its body, may we believe it?
//
// Strict where two readers could disagree (security.md 3.5): Content-Length with Transfer-Encoding, unknown transfer
// codings, folded header lines, bare LF, NUL, a second Host and HTTP/0.9 are refused, and the connection must then be
// closed. Limits are counted here. No input or output; event loop only.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "api/http.hpp"

namespace bryo::api {

struct MessageLimits {
  std::size_t head_bytes = 64 << 10;
  std::size_t head_fields = 200;
  std::size_t body_bytes = 16 << 20;  // of bodies taken whole; streamed ones have no limit here
};

// The request cannot be served and nothing after it can be read.
class ProtocolError : public std::exception {
 public:
  ProtocolError(int status, std::string message) : status_(status), message_(std::move(message)) {}
  int status() const { return status_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  int status_;
  std::string message_;
};

class MessageParser {
 public:
  explicit MessageParser(const MessageLimits& limits);
  ~MessageParser();

  // Looks for a whole head at the start of `in`, which is all that was received and not yet consumed. Returns the bytes
  // to consume, 0 when more are needed. Throws ProtocolError.
  std::size_t read_head(std::string_view in);
  // After the head: decodes body bytes from `in` onto `out`; returns the bytes to consume, 0 when more are needed.
  std::size_t read_body(std::string_view in, std::string& out);
  // The whole message, body included, has been read.
  bool done() const;

  // Of the head: verb, method, target, headers and upgrade. May be moved away.
  Request& request() { return request_; }
  bool keep_alive() const;
  bool http_1_0() const;
  bool expects_continue() const { return expects_continue_; }
  // 0 when chunked or absent.
  std::uint64_t content_length() const { return content_length_; }

 private:
  class Machine;
  void check_start(std::string_view in) const;
  void check_raw_head(std::string_view head) const;
  void check_fields();

  MessageLimits limits_;
  Request request_;
  std::unique_ptr<Machine> machine_;
  std::size_t searched_ = 0;
  bool expects_continue_ = false;
  std::uint64_t content_length_ = 0;
};

}  // namespace bryo::api

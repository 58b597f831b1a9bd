// One HTTP request and its answer, over libcurl: connections kept for re-use, HTTP/2 where TLS offers it, proxies.
//
// Nothing is followed and nothing retried here: that is session.hpp's, which knows what may be sent where. The body of
// an answer is pulled, so that a slow reader slows the sender. Every wait asks `cancelled` several times a second, ends
// after `idle_timeout` without a byte, and headers are bounded. HttpClient is thread-safe; a response belongs to one
// thread at a time and must not outlive the client.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "registry/addresses.hpp"
#include "registry/certificates.hpp"
#include "registry/options.hpp"
#include "registry/url.hpp"

namespace bryo::registry {

// What went wrong below HTTP.
enum class Failure {
  refused,   // nobody there: unknown host, connection refused
  tls,       // no TLS there, or no trust
  broken,    // the connection was lost or stalled: worth another try
  forbidden  // Reach does not allow this address
};

class TransportError final : public Error {
 public:
  TransportError(Failure failure, ErrorKind kind, std::string message)
      : Error(kind, std::move(message)), failure_(failure) {}
  Failure failure() const { return failure_; }

 private:
  Failure failure_;
};

struct HttpRequest {
  std::string method = "GET";
  Url url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string_view text;       // body, when `body` is not set; copied
  ByteSource* body = nullptr;  // of exactly body_size bytes; must outlive the response
  std::uint64_t body_size = 0;
  Reach reach = Reach::anywhere;
  bool verify_tls = true;
  std::vector<std::string> pinned;  // "host:port:address": resolved before, used as it is
};

class HttpResponse : public ByteSource {
 public:
  virtual int status() const = 0;
  // First header of this name (any case); "" when there is none.
  virtual std::string header(std::string_view name) const = 0;
  virtual std::vector<std::string> headers(std::string_view name) const = 0;
  std::optional<std::uint64_t> content_length() const;
  // The whole body; Error{exhausted} when it is longer, TransportError when it takes more than two minutes.
  std::string text(std::size_t limit);
  // Reads a short rest away, so that the connection can be used again.
  void drain();
};

class HttpClient {
 public:
  explicit HttpClient(const RegistryOptions& options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Returns when the head of the answer is here. TransportError, Error{cancelled}.
  std::unique_ptr<HttpResponse> send(const HttpRequest& request, const Cancelled& cancelled);
  // Closes connections that wait for re-use.
  void close_idle();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace bryo::registry

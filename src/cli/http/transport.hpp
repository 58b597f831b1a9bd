// A byte stream to the daemon: a socket, with or without TLS. Descriptors are non-blocking, so that one thread can
// serve several streams with poll(2); the blocking calls below wait by themselves.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"
#include "cli/http/endpoint.hpp"

namespace bryo::cli {

struct TlsOptions {
  bool enabled = false;
  bool verify = false;  // --tlsverify: check the server's certificate and name
  std::string ca;
  std::string certificate;
  std::string key;
};

class Transport {
 public:
  virtual ~Transport() = default;
  // 0: end of stream. nullopt: nothing to read just now.
  virtual std::optional<std::size_t> try_read(std::span<char> into) = 0;
  // nullopt: cannot write just now. Throws Error{unavailable} when the peer is gone.
  virtual std::optional<std::size_t> try_write(std::string_view bytes) = 0;
  // Tells the peer that nothing more will come; reading goes on.
  virtual void finish_writing() = 0;
  virtual int fd() const = 0;
  // True when try_read() has bytes that poll(2) does not know of.
  virtual bool buffered() const { return false; }

  std::size_t read(std::span<char> into);
  void write(std::string_view bytes);
};

// Throws Error{unavailable} in Docker's words: "Cannot connect to the Docker daemon at …".
std::unique_ptr<Transport> connect(const Endpoint& endpoint, const TlsOptions& tls);
// Takes over a connected, non-blocking socket.
std::unique_ptr<Transport> plain_transport(UniqueFd socket);
std::unique_ptr<Transport> tls_transport(UniqueFd socket, const Endpoint& endpoint, const TlsOptions& options);

}  // namespace bryo::cli

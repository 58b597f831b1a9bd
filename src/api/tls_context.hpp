// Certificates of a TLS listener: --tlscacert, --tlscert, --tlskey. Loaded once, read-only afterwards. Private to the
// server (this header brings Asio).
#pragma once

#include <boost/asio/ssl/context.hpp>

#include "api/server.hpp"

namespace bryo::api {

class TlsContext {
 public:
  // Throws Error{invalid_argument} naming the file that cannot be used.
  explicit TlsContext(const TlsFiles& files);
  boost::asio::ssl::context& asio() { return context_; }

 private:
  boost::asio::ssl::context context_;
};

}  // namespace bryo::api

#include "api/tls_context.hpp"

#include "base/error.hpp"

namespace bryo::api {
namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

void check(const error_code& error, const char* what, const std::string& file) {
  if (error) fail(ErrorKind::invalid_argument, "could not load {} {}: {}", what, file, error.message());
}

}  // namespace

TlsContext::TlsContext(const TlsFiles& files) : context_(ssl::context::tls_server) {
  error_code error;
  context_.set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1 |
                           ssl::context::no_compression,
                       error);
  check(error, "TLS options", "");
  context_.use_certificate_chain_file(files.certificate, error);
  check(error, "TLS certificate", files.certificate);
  context_.use_private_key_file(files.key, ssl::context::pem, error);
  check(error, "TLS key", files.key);
  if (!files.verify_clients) return;
  context_.load_verify_file(files.authority, error);
  check(error, "TLS certificate authority", files.authority);
  context_.set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, error);
  check(error, "TLS verification mode", "");
}

}  // namespace bryo::api

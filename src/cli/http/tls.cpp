// TLS over a non-blocking socket. The only file of the command line that knows OpenSSL.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/error.hpp"
#include "cli/http/transport.hpp"

namespace bryo::cli {
namespace {

std::string openssl_reason() {
  const unsigned long code = ::ERR_get_error();
  ::ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ::ERR_reason_error_string(code);
  return reason == nullptr ? "connection closed" : reason;
}

using Context = std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)>;
using Session = std::unique_ptr<SSL, void (*)(SSL*)>;

void load_identity(SSL_CTX* context, const TlsOptions& options) {
  if (options.certificate.empty() || options.key.empty()) return;
  if (::SSL_CTX_use_certificate_chain_file(context, options.certificate.c_str()) != 1)
    fail(ErrorKind::invalid_argument, "could not load the client certificate {}: {}", options.certificate,
         openssl_reason());
  if (::SSL_CTX_use_PrivateKey_file(context, options.key.c_str(), SSL_FILETYPE_PEM) != 1)
    fail(ErrorKind::invalid_argument, "could not load the client key {}: {}", options.key, openssl_reason());
}

Context make_context(const TlsOptions& options) {
  Context context(::SSL_CTX_new(::TLS_client_method()), ::SSL_CTX_free);
  if (!context) fail(ErrorKind::internal, "set up TLS: {}", openssl_reason());
  ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  ::SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // A peer that closes without close_notify ends the stream: HTTP has its own framing.
  ::SSL_CTX_set_options(context.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
  load_identity(context.get(), options);
  if (!options.verify) return context;
  ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  const bool loaded = options.ca.empty()
                          ? ::SSL_CTX_set_default_verify_paths(context.get()) == 1
                          : ::SSL_CTX_load_verify_locations(context.get(), options.ca.c_str(), nullptr) == 1;
  if (!loaded)
    fail(ErrorKind::invalid_argument, "could not load CA certificates from {}: {}", options.ca, openssl_reason());
  return context;
}

void expect_name(SSL* session, const Endpoint& endpoint) {
  X509_VERIFY_PARAM* checks = ::SSL_get0_param(session);
  // An address is compared with the certificate's addresses, a name with its names.
  if (::X509_VERIFY_PARAM_set1_ip_asc(checks, endpoint.host.c_str()) != 1) {
    ::X509_VERIFY_PARAM_set1_host(checks, endpoint.host.c_str(), 0);
    ::SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
               const_cast<char*>(endpoint.host.c_str()));
  }
}

class TlsTransport final : public Transport {
 public:
  TlsTransport(UniqueFd socket, Context context, Session session)
      : socket_(std::move(socket)), context_(std::move(context)), session_(std::move(session)) {}

  void handshake(const Endpoint& endpoint) {
    while (true) {
      ::ERR_clear_error();
      const int result = ::SSL_connect(session_.get());
      if (result == 1) return;
      const int problem = ::SSL_get_error(session_.get(), result);
      if (!wait(problem)) {
        const long verdict = ::SSL_get_verify_result(session_.get());
        fail(ErrorKind::unavailable, "error during connect: TLS with {}: {}", endpoint.text,
             verdict == X509_V_OK ? openssl_reason() : ::X509_verify_cert_error_string(verdict));
      }
    }
  }

  std::optional<std::size_t> try_read(std::span<char> into) override {
    ::ERR_clear_error();
    std::size_t got = 0;
    const int result = ::SSL_read_ex(session_.get(), into.data(), into.size(), &got);
    if (result == 1) return got;
    const int problem = ::SSL_get_error(session_.get(), result);
    if (problem == SSL_ERROR_ZERO_RETURN) return 0;
    if (problem == SSL_ERROR_WANT_READ || problem == SSL_ERROR_WANT_WRITE) return std::nullopt;
    if (problem == SSL_ERROR_SYSCALL && (errno == ECONNRESET || errno == 0)) return 0;
    fail(ErrorKind::unavailable, "error during connect: read from the daemon: {}", openssl_reason());
  }

  std::optional<std::size_t> try_write(std::string_view bytes) override {
    if (bytes.empty()) return 0;
    ::ERR_clear_error();
    std::size_t sent = 0;
    const int result = ::SSL_write_ex(session_.get(), bytes.data(), bytes.size(), &sent);
    if (result == 1) return sent;
    const int problem = ::SSL_get_error(session_.get(), result);
    if (problem == SSL_ERROR_WANT_READ || problem == SSL_ERROR_WANT_WRITE) return std::nullopt;
    fail(ErrorKind::unavailable, "error during connect: write to the daemon: {}", openssl_reason());
  }

  void finish_writing() override { ::SSL_shutdown(session_.get()); }
  int fd() const override { return socket_.get(); }
  bool buffered() const override { return ::SSL_has_pending(session_.get()) == 1; }

 private:
  bool wait(int problem) const {
    if (problem != SSL_ERROR_WANT_READ && problem != SSL_ERROR_WANT_WRITE) return false;
    const short events = problem == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
    pollfd entry{socket_.get(), events, 0};
    ::poll(&entry, 1, -1);
    return true;
  }

  UniqueFd socket_;
  Context context_;
  Session session_;
};

}  // namespace

std::unique_ptr<Transport> tls_transport(UniqueFd socket, const Endpoint& endpoint, const TlsOptions& options) {
  // OpenSSL writes with write(2), which raises the signal when the daemon is gone.
  ::signal(SIGPIPE, SIG_IGN);
  Context context = make_context(options);
  Session session(::SSL_new(context.get()), ::SSL_free);
  if (!session || ::SSL_set_fd(session.get(), socket.get()) != 1)
    fail(ErrorKind::internal, "set up TLS: {}", openssl_reason());
  if (options.verify) expect_name(session.get(), endpoint);
  auto transport = std::make_unique<TlsTransport>(std::move(socket), std::move(context), std::move(session));
  transport->handshake(endpoint);
  return transport;
}

}  // namespace bryo::cli

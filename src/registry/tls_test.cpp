// Is a certificate looked at? (CVE-2019-10214: also on the way to token services and redirect targets.)
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "registry/http.hpp"

namespace bryo::registry {
namespace {

using ::testing::HasSubstr;

struct Key {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  ~Key() {
    EVP_PKEY_free(key);
    X509_free(certificate);
  }
};

// Self-signed, for this address ("IP:127.0.0.1"), valid from now - 2 h to now + `hours`.
void sign(Key& key, const char* alternative_name, long hours) {
  X509* certificate = key.certificate;
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -7200);
  X509_gmtime_adj(X509_getm_notAfter(certificate), hours * 3600);
  X509_set_pubkey(certificate, key.key);
  X509_NAME* name = X509_get_subject_name(certificate);
  const unsigned char text[] = "test";
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternative_name);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  X509_sign(certificate, key.key, EVP_sha256());
}

// Answers every connection with one fixed answer over TLS.
class TlsServer {
 public:
  explicit TlsServer(const Key& key) : context_(SSL_CTX_new(TLS_server_method())) {
    ::signal(SIGPIPE, SIG_IGN);  // both sides hang up at any moment
    SSL_CTX_use_certificate(context_, key.certificate);
    SSL_CTX_use_PrivateKey(context_, key.key);
    listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    struct sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address);
    socklen_t size = sizeof address;
    ::getsockname(listener_.get(), reinterpret_cast<struct sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    ::listen(listener_.get(), 8);
    thread_ = std::thread([this] { serve(); });
  }
  ~TlsServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    SSL_CTX_free(context_);
  }
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  std::uint16_t port() const { return port_; }
  int requests() const { return requests_; }

 private:
  void serve() {
    for (;;) {
      const UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client) return;
      SSL* ssl = SSL_new(context_);
      SSL_set_fd(ssl, client.get());
      char buffer[4096];
      if (SSL_accept(ssl) == 1 && SSL_read(ssl, buffer, sizeof buffer) > 0) {
        ++requests_;
        constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        SSL_write(ssl, kAnswer.data(), static_cast<int>(kAnswer.size()));
        SSL_shutdown(ssl);
      }
      SSL_free(ssl);
    }
  }

  SSL_CTX* context_;
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::thread thread_;
  std::atomic<int> requests_ = 0;
};

class Tls : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/bryo-tls-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void trust(const Key& key, std::uint16_t port) {
    const std::string folder = directory_ + "/127.0.0.1:" + std::to_string(port);
    std::filesystem::create_directories(folder);
    std::FILE* file = std::fopen((folder + "/ca.crt").c_str(), "w");
    PEM_write_X509(file, key.certificate);
    std::fclose(file);
  }
  std::string get(std::uint16_t port, bool verify = true) {
    RegistryOptions options;
    options.certificate_directories = {directory_};
    HttpClient client(options);
    HttpRequest request;
    request.url = Url::parse("https://127.0.0.1:" + std::to_string(port) + "/");
    request.verify_tls = verify;
    try {
      return client.send(request, {})->text(100);
    } catch (const TransportError& error) {
      EXPECT_EQ(error.failure(), Failure::tls);
      return error.message();
    }
  }
  std::string directory_;
};

TEST_F(Tls, CVE_2019_10214_UnknownAuthorityIsRefused) {
  Key key;
  sign(key, "IP:127.0.0.1", 1);
  TlsServer server(key);
  EXPECT_THAT(get(server.port()), HasSubstr("x509: certificate signed by unknown authority"));
  EXPECT_EQ(server.requests(), 0) << "nothing was sent, no header, no path";
}

TEST_F(Tls, AuthorityOfTheRegistryIsTrusted) {
  Key key;
  sign(key, "IP:127.0.0.1", 1);
  TlsServer server(key);
  trust(key, server.port());
  EXPECT_EQ(get(server.port()), "ok");
}

TEST_F(Tls, WrongNameIsRefused) {
  Key key;
  sign(key, "DNS:elsewhere.example", 1);
  TlsServer server(key);
  trust(key, server.port());
  EXPECT_THAT(get(server.port()), HasSubstr("certificate is not valid for 127.0.0.1"));
  EXPECT_EQ(server.requests(), 0);
}

TEST_F(Tls, ExpiredIsRefused) {
  Key key;
  sign(key, "IP:127.0.0.1", -1);
  TlsServer server(key);
  trust(key, server.port());
  EXPECT_THAT(get(server.port()), HasSubstr("certificate has expired or is not yet valid"));
}

TEST_F(Tls, UnverifiedIsForInsecureRegistriesOnly) {
  Key key;
  sign(key, "DNS:elsewhere.example", -1);
  TlsServer server(key);
  EXPECT_EQ(get(server.port(), false), "ok");
}

}  // namespace
}  // namespace bryo::registry

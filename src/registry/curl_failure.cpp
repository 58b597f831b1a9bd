#include "registry/curl_failure.hpp"

#include <cstring>

#include "base/strings.hpp"

namespace bryo::registry {

namespace {

struct Cause {
  Failure failure;
  std::string text;
};

std::string errno_text(CURL* easy, std::string_view otherwise) {
  long number = 0;
  curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
  return number == 0 ? std::string(otherwise) : to_lower(std::strerror(static_cast<int>(number)));
}

std::string peer(const HttpRequest& request, CURL* easy) {
  const char* address = nullptr;
  curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &address);
  Origin shown = request.url.origin();
  if (address != nullptr && *address != '\0') shown.host = address;
  const std::string host = shown.host.find(':') == std::string::npos ? shown.host : "[" + shown.host + "]";
  return host + ":" + std::to_string(shown.port);
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::string certificate_text(const HttpRequest& request, std::string_view detail) {
  const std::string start = "tls: failed to verify certificate: x509: ";
  if (contains(detail, "expired") || contains(detail, "not yet valid"))
    return start + "certificate has expired or is not yet valid";
  if (contains(detail, "no alternative certificate subject name") || contains(detail, "does not match target host"))
    return start + "certificate is not valid for " + request.url.origin().host;
  if (contains(detail, "self-signed") || contains(detail, "self signed") || contains(detail, "local issuer"))
    return start + "certificate signed by unknown authority";
  return start + bryo::printable(detail);
}

Cause cause_of(const HttpRequest& request, CURL* easy, CURLcode code, std::string_view detail) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return {Failure::refused, "dial tcp: lookup " + request.url.origin().host + ": no such host"};
    case CURLE_COULDNT_CONNECT:
      return {Failure::refused,
              "dial tcp " + peer(request, easy) + ": connect: " + errno_text(easy, "connection failed")};
    case CURLE_PEER_FAILED_VERIFICATION:
      return {Failure::tls, certificate_text(request, detail)};
    case CURLE_SSL_CONNECT_ERROR:
      if (contains(detail, "wrong version number") || contains(detail, "unknown protocol") ||
          contains(detail, "packet length too long"))
        return {Failure::tls, "http: server gave HTTP response to HTTPS client"};
      return {Failure::tls, "remote error: tls: " + bryo::printable(detail)};
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
      return {Failure::tls, "tls: " + bryo::printable(detail)};
    case CURLE_OPERATION_TIMEDOUT:
      return {Failure::broken, "dial tcp " + peer(request, easy) + ": i/o timeout"};
    case CURLE_GOT_NOTHING:
      return {Failure::broken, "EOF"};
    case CURLE_PARTIAL_FILE:
      return {Failure::broken, "unexpected EOF"};
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      return {Failure::broken, errno_text(easy, detail.empty() ? "connection lost" : detail)};
    default:
      return {Failure::broken, bryo::printable(detail.empty() ? curl_easy_strerror(code) : detail)};
  }
}

// "Get", "Post": Go writes the method so.
std::string shown_method(const std::string& method) { return method.substr(0, 1) + to_lower(method.substr(1)); }

}  // namespace

TransportError transport_error(const HttpRequest& request, Failure failure, std::string_view reason) {
  const ErrorKind kind = failure == Failure::forbidden ? ErrorKind::permission : ErrorKind::unavailable;
  return {failure, kind, fmt::format("{} \"{}\": {}", shown_method(request.method), request.url.printable(), reason)};
}

TransportError transport_error(const HttpRequest& request, CURL* easy, CURLcode code, std::string_view detail) {
  const Cause cause = cause_of(request, easy, code, detail);
  return transport_error(request, cause.failure, cause.text);
}

}  // namespace bryo::registry

#include "registry/http.hpp"

#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/log.hpp"
#include "base/strings.hpp"
#include "registry/curl_channel.hpp"
#include "registry/curl_failure.hpp"
#include "registry/proxy.hpp"

namespace bryo::registry {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxHeaders = 256U << 10;
constexpr std::size_t kReadAhead = 1U << 20;  // bytes kept for a slow reader, then the connection waits
constexpr std::size_t kTrickle = 1024;
constexpr int kUploadPatience = 5;  // times the idle time-out: a registry may copy what it got before it answers
constexpr long kCurlBuffer = 256L << 10;
constexpr auto kDocumentTime = std::chrono::minutes(2);
constexpr std::size_t kDrain = 4096;
constexpr int kPollMilliseconds = 200;

struct Shared {
  explicit Shared(const RegistryOptions& given) : options(given), proxies(given) {}
  const RegistryOptions options;
  const ProxyRules proxies;
  ChannelPool pool;
};

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, FreeList>;

void append(List& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  (void)list.release();
  list.reset(longer);
}

std::string_view view(const char* data, std::size_t size) { return {data, size}; }

class CurlResponse final : public HttpResponse {
 public:
  CurlResponse(std::shared_ptr<Shared> shared, const HttpRequest& request, const Cancelled& cancelled)
      : shared_(std::move(shared)),
        request_(request),
        cancelled_(cancelled),
        certificates_(find_certificates(shared_->options.certificate_directories, request.url.origin())),
        channel_(shared_->pool.take(request.reach)) {
    const bool reads = request.method == "GET" || request.method == "HEAD";
    patience_ = shared_->options.idle_timeout * (reads ? 1 : kUploadPatience);
    refuse_bad_headers();
    set_options();
    curl_multi_add_handle(channel_->multi, channel_->easy);
    while (!head_complete_ && !done_) advance();
    if (!head_complete_) finish_or_throw();
    left_ = Clock::now();
  }

  ~CurlResponse() override {
    curl_multi_remove_handle(channel_->multi, channel_->easy);
    curl_easy_reset(channel_->easy);
    shared_->pool.give_back(request_.reach, std::move(channel_));
  }
  CurlResponse(const CurlResponse&) = delete;
  CurlResponse& operator=(const CurlResponse&) = delete;

  int status() const override { return status_; }

  std::string header(std::string_view name) const override {
    const auto all = headers(name);
    return all.empty() ? std::string() : all.front();
  }

  std::vector<std::string> headers(std::string_view name) const override {
    std::vector<std::string> out;
    for (const auto& [key, text] : headers_)
      if (iequals(key, name)) out.push_back(text);
    return out;
  }

  std::size_t read(std::span<std::byte> into) override {
    if (into.empty()) return 0;
    std::size_t got = take_kept(into);
    if (got == 0 && !done_) got = receive(into);
    if (got == 0) finish_or_throw();
    return got;
  }

 private:
  // --- set-up

  void refuse_bad_headers() const {
    for (const auto& [name, text] : request_.headers)
      if ((name + text).find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
        fail(ErrorKind::invalid_argument, "a line break in the value of header {}", printable(name, 40));
  }

  template <typename Value>
  void set(CURLoption option, Value value) {
    curl_easy_setopt(channel_->easy, option, value);
  }

  void set_options() {
    set(CURLOPT_URL, request_.url.str().c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
    set(CURLOPT_BUFFERSIZE, kCurlBuffer);
    set(CURLOPT_UPLOAD_BUFFERSIZE, kCurlBuffer);
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(shared_->options.connect_timeout.count()));
    set(CURLOPT_USERAGENT, shared_->options.user_agent.c_str());
    set(CURLOPT_ERRORBUFFER, error_text_);
    set(CURLOPT_HEADERFUNCTION, &CurlResponse::on_header);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_WRITEFUNCTION, &CurlResponse::on_body);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_OPENSOCKETFUNCTION, &CurlResponse::on_socket);
    set(CURLOPT_OPENSOCKETDATA, this);
    set_proxy();
    set_tls();
    set_headers();
    set_method();
  }

  // The choice is made here, so that it is known whether the socket leads to the host itself.
  void set_proxy() {
    const std::string proxy = shared_->proxies.proxy_for(request_.url.origin());
    proxied_ = !proxy.empty();
    set(CURLOPT_PROXY, proxy.c_str());
    set(CURLOPT_NOPROXY, "");
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    const std::string& host = request_.url.origin().host;
    const auto address = parse_address(host);
    const bool allowed = request_.reach == Reach::anywhere || !proxied_ ||
                         (address ? may_connect(request_.reach, *address) : !is_loopback_host(host));
    if (!allowed) throw transport_error(request_, Failure::forbidden, "this address is not followed");
  }

  void set_tls() {
    set(CURLOPT_SSL_VERIFYPEER, request_.verify_tls ? 1L : 0L);
    set(CURLOPT_SSL_VERIFYHOST, request_.verify_tls ? 2L : 0L);
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!certificates_.client_certificate.empty()) {
      set(CURLOPT_SSLCERT, certificates_.client_certificate.c_str());
      set(CURLOPT_SSLKEY, certificates_.client_key.c_str());
    }
    if (certificates_.authorities.empty()) return;
    set(CURLOPT_SSL_CTX_FUNCTION, &CurlResponse::on_tls_context);
    set(CURLOPT_SSL_CTX_DATA, this);
  }

  void set_headers() {
    for (const auto& [name, text] : request_.headers) append(header_list_, name + ": " + text);
    append(header_list_, "Expect:");  // no wait for "100 Continue" before a body
    set(CURLOPT_HTTPHEADER, header_list_.get());
    for (const std::string& entry : request_.pinned) append(pinned_list_, entry);
    if (pinned_list_) set(CURLOPT_RESOLVE, pinned_list_.get());
  }

  void set_method() {
    const std::string& method = request_.method;
    if (method == "GET") return;
    if (method == "HEAD") {
      set(CURLOPT_NOBODY, 1L);
      return;
    }
    if (request_.body != nullptr) {
      set(CURLOPT_UPLOAD, 1L);
      set(CURLOPT_READFUNCTION, &CurlResponse::on_upload);
      set(CURLOPT_READDATA, this);
      set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request_.body_size));
    } else {
      set(CURLOPT_POST, 1L);
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.text.size()));
      set(CURLOPT_COPYPOSTFIELDS, request_.text.empty() ? "" : request_.text.data());
    }
    set(CURLOPT_CUSTOMREQUEST, method.c_str());
  }

  // --- libcurl's callbacks; none may throw into it

  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self) {
    return static_cast<CurlResponse*>(self)->take_header(view(data, size * count)) ? size * count : 0;
  }

  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self) {
    return static_cast<CurlResponse*>(self)->take_body(std::as_bytes(std::span(data, size * count)));
  }

  static std::size_t on_upload(char* data, std::size_t size, std::size_t count, void* self) {
    return static_cast<CurlResponse*>(self)->give_body(std::as_writable_bytes(std::span(data, size * count)));
  }

  static curl_socket_t on_socket(void* data, curlsocktype, struct curl_sockaddr* address) {
    auto* self = static_cast<CurlResponse*>(data);
    if (!self->proxied_ && !may_connect(self->request_.reach, &address->addr)) {
      self->forbidden_ = true;
      return CURL_SOCKET_BAD;
    }
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }

  static CURLcode on_tls_context(CURL*, void* context, void* data) {
    auto* self = static_cast<CurlResponse*>(data);
    for (const std::string& path : self->certificates_.authorities)
      if (SSL_CTX_load_verify_file(static_cast<SSL_CTX*>(context), path.c_str()) != 1) {
        std::strncpy(self->error_text_, ("cannot read " + path).c_str(), sizeof self->error_text_ - 1);
        return CURLE_SSL_CACERT_BADFILE;
      }
    return CURLE_OK;
  }

  // A trickle is no progress: the clock starts again with every full kTrickle bytes.
  void heard(std::size_t bytes) {
    since_ += bytes;
    if (since_ < kTrickle) return;
    since_ = 0;
    heard_ = Clock::now();
  }

  bool take_header(std::string_view line) {
    heard(line.size());
    header_bytes_ += line.size();
    if (header_bytes_ > kMaxHeaders) return false;
    line = trim(line);
    if (line.starts_with("HTTP/")) {  // also of a "100 Continue" that came before
      headers_.clear();
      return true;
    }
    if (line.empty()) {
      long status = 0;
      curl_easy_getinfo(channel_->easy, CURLINFO_RESPONSE_CODE, &status);
      status_ = static_cast<int>(status);
      head_complete_ = status >= 200;
      return true;
    }
    if (const auto pair = split_once(line, ':')) headers_.emplace_back(trim(pair->first), trim(pair->second));
    return true;
  }

  std::size_t take_body(std::span<const std::byte> bytes) {
    if (kept_.size() - kept_from_ > kReadAhead) {
      paused_ = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    heard(bytes.size());
    const std::size_t direct = std::min(bytes.size(), target_.size() - filled_);
    std::copy_n(bytes.begin(), direct, target_.begin() + static_cast<std::ptrdiff_t>(filled_));
    filled_ += direct;
    kept_.insert(kept_.end(), bytes.begin() + static_cast<std::ptrdiff_t>(direct), bytes.end());
    return bytes.size();
  }

  std::size_t give_body(std::span<std::byte> into) {
    heard_ = Clock::now();
    try {
      return request_.body == nullptr ? CURL_READFUNC_ABORT : request_.body->read(into);
    } catch (...) {
      upload_failure_ = std::current_exception();
      return CURL_READFUNC_ABORT;
    }
  }

  // --- progress

  // Lets libcurl work once, or waits a little when there is nothing to do.
  void advance() {
    if (cancelled_ && cancelled_()) throw Error(ErrorKind::cancelled, "context canceled");
    int running = 0;
    curl_multi_perform(channel_->multi, &running);
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(channel_->multi, &left))
      if (message->msg == CURLMSG_DONE) {
        done_ = true;
        result_ = message->data.result;
      }
    if (done_ || filled_ > 0 || head_complete_ != head_was_complete_) {
      head_was_complete_ = head_complete_;
      return;
    }
    if (Clock::now() - heard_ > patience_)
      throw transport_error(request_, Failure::broken, fmt::format("no data for {} ms", patience_.count()));
    curl_multi_poll(channel_->multi, nullptr, 0, kPollMilliseconds, nullptr);
  }

  std::size_t take_kept(std::span<std::byte> into) {
    const std::size_t count = std::min(into.size(), kept_.size() - kept_from_);
    std::copy_n(kept_.begin() + static_cast<std::ptrdiff_t>(kept_from_), count, into.begin());
    kept_from_ += count;
    if (kept_from_ < kept_.size()) return count;
    kept_.clear();
    kept_from_ = 0;
    return count;
  }

  std::size_t receive(std::span<std::byte> into) {
    target_ = into;
    filled_ = 0;
    heard_ += Clock::now() - left_;  // the time of the reader is not the sender's
    if (std::exchange(paused_, false)) curl_easy_pause(channel_->easy, CURLPAUSE_CONT);
    while (filled_ == 0 && !done_) advance();
    target_ = {};
    left_ = Clock::now();
    return std::exchange(filled_, 0);
  }

  void finish_or_throw() {
    if (upload_failure_) std::rethrow_exception(upload_failure_);
    if (forbidden_)
      throw transport_error(request_, Failure::forbidden,
                            "leads to an address of this host or network that is not followed");
    if (header_bytes_ > kMaxHeaders) throw transport_error(request_, Failure::broken, "headers are too large");
    if (result_ != CURLE_OK) throw transport_error(request_, channel_->easy, result_, error_text_);
  }

  std::shared_ptr<Shared> shared_;
  HttpRequest request_;
  Cancelled cancelled_;
  Certificates certificates_;
  List header_list_;
  List pinned_list_;
  char error_text_[CURL_ERROR_SIZE] = {};

  bool proxied_ = false;
  bool forbidden_ = false;
  bool head_complete_ = false;
  bool head_was_complete_ = false;
  bool done_ = false;
  bool paused_ = false;
  CURLcode result_ = CURLE_OK;
  std::exception_ptr upload_failure_;
  int status_ = 0;
  std::size_t header_bytes_ = 0;
  std::vector<std::pair<std::string, std::string>> headers_;
  std::chrono::milliseconds patience_;
  Clock::time_point heard_ = Clock::now();
  std::size_t since_ = 0;
  Clock::time_point left_ = heard_;  // when the reader was last given something

  std::span<std::byte> target_;  // where the reader waits for bytes
  std::size_t filled_ = 0;
  std::vector<std::byte> kept_;  // what came beyond
  std::size_t kept_from_ = 0;
  std::unique_ptr<CurlChannel> channel_;  // last, so that it is gone before what its callbacks use
};

}  // namespace

class HttpClient::Impl : public Shared {
 public:
  using Shared::Shared;
};

HttpClient::HttpClient(const RegistryOptions& options) : impl_(std::make_shared<Impl>(options)) {}
HttpClient::~HttpClient() = default;

std::unique_ptr<HttpResponse> HttpClient::send(const HttpRequest& request, const Cancelled& cancelled) {
  return std::make_unique<CurlResponse>(impl_, request, cancelled);
}

void HttpClient::close_idle() { impl_->pool.clear(); }

std::optional<std::uint64_t> HttpResponse::content_length() const {
  return parse_integer<std::uint64_t>(header("Content-Length"));
}

std::string HttpResponse::text(std::size_t limit) {
  if (content_length().value_or(0) > limit) fail(ErrorKind::exhausted, "an answer of more than {} bytes", limit);
  const auto deadline = Clock::now() + kDocumentTime;
  StringSink sink(limit);
  std::vector<std::byte> buffer(64U << 10);
  while (const std::size_t got = read(buffer)) {
    sink.write(std::span(buffer).first(got));
    if (Clock::now() > deadline) throw TransportError(Failure::broken, ErrorKind::unavailable, "the answer never ends");
  }
  return sink.take();
}

void HttpResponse::drain() {
  if (content_length().value_or(kDrain + 1) > kDrain) return;
  std::array<std::byte, kDrain> buffer;
  try {
    while (read(buffer) > 0) continue;
  } catch (const TransportError&) {
    // Only the connection is lost, and it is not needed.
  }
}

}  // namespace bryo::registry

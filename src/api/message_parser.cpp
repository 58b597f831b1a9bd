#include "api/message_parser.hpp"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>

#include "base/strings.hpp"

namespace bryo::api {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using View = boost::beast::string_view;

constexpr std::size_t kMostChunkHeader = 4096;

Method method_of(http::verb verb) {
  switch (verb) {
    case http::verb::get:
      return Method::get;
    case http::verb::head:
      return Method::head;
    case http::verb::post:
      return Method::post;
    case http::verb::put:
      return Method::put;
    case http::verb::delete_:
      return Method::del;
    default:
      return Method::other;
  }
}

bool is_token(unsigned char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_' || c == '!';
}

}  // namespace

// Beast's state machine, writing into our Request.
class MessageParser::Machine final : public http::basic_parser<true> {
 public:
  explicit Machine(MessageParser& owner) : owner_(owner) {
    header_limit(static_cast<std::uint32_t>(owner.limits_.head_bytes));
    body_limit(boost::none);
    eager(true);
  }
  std::string* out = nullptr;
  int http_version = 0;

 private:
  void on_request_impl(http::verb verb, View verb_text, View target, int version, error_code&) override {
    http_version = version;
    owner_.request_.method = method_of(verb);
    owner_.request_.verb.assign(verb_text.data(), verb_text.size());
    owner_.request_.target.assign(target.data(), target.size());
  }
  void on_response_impl(int, View, int, error_code&) override {}
  void on_field_impl(http::field, View name, View value, error_code& error) override {
    if (is_header_done()) return;  // trailers say nothing that we would act on
    if (owner_.request_.headers.size() == owner_.limits_.head_fields) {
      error = http::error::header_limit;
      return;
    }
    owner_.request_.headers.add({name.data(), name.size()}, {value.data(), value.size()});
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(View body, error_code&) override {
    out->append(body.data(), body.size());
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t, View, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View body, error_code&) override {
    out->append(body.data(), body.size());
    return body.size();
  }
  void on_finish_impl(error_code&) override {}

  MessageParser& owner_;
};

MessageParser::MessageParser(const MessageLimits& limits)
    : limits_(limits), machine_(std::make_unique<Machine>(*this)) {}

MessageParser::~MessageParser() = default;

// Refuses what can never become a head, so that a stray client is not left waiting for one.
void MessageParser::check_start(std::string_view in) const {
  if (!is_token(static_cast<unsigned char>(in.front()))) throw ProtocolError(400, "malformed HTTP request");
  const std::size_t end = in.find('\n');
  if (end == std::string_view::npos) return;
  const std::string_view line = in.substr(0, end > 0 && in[end - 1] == '\r' ? end - 1 : end);
  if (line.ends_with(" HTTP/1.1") || line.ends_with(" HTTP/1.0")) return;
  const std::size_t version = line.rfind(" HTTP/");
  if (version == std::string_view::npos) throw ProtocolError(400, "malformed HTTP request");
  throw ProtocolError(505, "unsupported HTTP version");
}

void MessageParser::check_raw_head(std::string_view head) const {
  for (std::size_t i = 0; i < head.size(); ++i) {
    const char c = head[i];
    const char next = i + 1 < head.size() ? head[i + 1] : '\0';
    if (c == '\0') throw ProtocolError(400, "malformed HTTP request: NUL byte in the header");
    if (c == '\r' && next != '\n') throw ProtocolError(400, "malformed HTTP request: bare CR in the header");
    if (c != '\n') continue;
    if (i == 0 || head[i - 1] != '\r') throw ProtocolError(400, "malformed HTTP request: bare LF in the header");
    if (next == ' ' || next == '\t') throw ProtocolError(400, "malformed HTTP request: folded header line");
  }
}

void MessageParser::check_fields() {
  const Headers& headers = request_.headers;
  const std::size_t codings = headers.count("Transfer-Encoding");
  if (codings > 0 && headers.count("Content-Length") > 0)
    throw ProtocolError(400, "Content-Length and Transfer-Encoding exclude each other");
  if (codings > 0 && (codings > 1 || !iequals(trim(headers.get("Transfer-Encoding")), "chunked")))
    throw ProtocolError(501, "unsupported transfer encoding");
  if (codings > 0 && http_1_0()) throw ProtocolError(400, "Transfer-Encoding needs HTTP/1.1");
  if (headers.count("Content-Length") > 1) throw ProtocolError(400, "more than one Content-Length header");
  if (const std::string* length = headers.find("Content-Length")) {
    const auto value = parse_integer<std::uint64_t>(*length);
    if (!value) throw ProtocolError(400, "invalid Content-Length");
    content_length_ = *value;
  }
  if (headers.count("Host") > 1) throw ProtocolError(400, "more than one Host header");
  if (headers.count("Host") == 0 && !http_1_0()) throw ProtocolError(400, "missing required Host header");
  if (const std::string* expect = headers.find("Expect")) {
    if (!iequals(*expect, "100-continue")) throw ProtocolError(417, "unsupported expectation");
    expects_continue_ = true;
  }
}

std::size_t MessageParser::read_head(std::string_view in) {
  std::size_t skipped = 0;  // a client may send an empty line before its request (RFC 9112, 2.2)
  while (skipped < 8 && in.substr(skipped).starts_with("\r\n")) skipped += 2;
  const std::string_view rest = in.substr(skipped);
  if (rest.empty() || rest == "\r") return 0;
  check_start(rest);
  const std::size_t end = rest.find("\r\n\r\n", std::min(searched_, rest.size()));
  if (end == std::string_view::npos) {
    if (rest.size() > limits_.head_bytes) throw ProtocolError(431, "request header is too large");
    if (rest.find("\n\n") != std::string_view::npos) check_raw_head(rest);
    searched_ = rest.size() < 3 ? 0 : rest.size() - 3;
    return 0;
  }
  const std::string_view head = rest.substr(0, end + 4);
  if (head.size() > limits_.head_bytes) throw ProtocolError(431, "request header is too large");
  check_raw_head(head.substr(0, head.size() - 2));
  error_code error;
  const std::size_t used = machine_->put(boost::asio::const_buffer(head.data(), head.size()), error);
  if (error == http::error::header_limit) throw ProtocolError(431, "request has too many header fields");
  if (error && error != http::error::need_more) throw ProtocolError(400, "malformed HTTP request: " + error.message());
  if (!machine_->is_header_done() || used != head.size()) throw ProtocolError(400, "malformed HTTP request");
  check_fields();
  request_.upgrade = request_.headers.has_token("Connection", "Upgrade");
  return skipped + used;
}

std::size_t MessageParser::read_body(std::string_view in, std::string& out) {
  if (done() || in.empty()) return 0;
  machine_->out = &out;
  error_code error;
  const std::size_t used = machine_->put(boost::asio::const_buffer(in.data(), in.size()), error);
  if (error && error != http::error::need_more) throw ProtocolError(400, "malformed request body: " + error.message());
  // A chunk's own line cannot be split off, so an endless one shows as bytes that are never used.
  if (used == 0 && in.size() > kMostChunkHeader)
    throw ProtocolError(400, "malformed request body: chunk header too long");
  return used;
}

bool MessageParser::done() const { return machine_->is_done(); }
bool MessageParser::keep_alive() const { return machine_->keep_alive(); }
bool MessageParser::http_1_0() const { return machine_->http_version == 10; }

}  // namespace bryo::api

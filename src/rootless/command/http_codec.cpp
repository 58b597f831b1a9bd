#include "rootless/command/http_codec.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http.hpp>
#include <sstream>

#include "base/error.hpp"

namespace bryo::rootless::command {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t kMaxRequest = 65536;

using Parser = http::request_parser<http::string_body>;

std::unique_ptr<Parser> new_parser() {
  auto parser = std::make_unique<Parser>();
  parser->eager(true);
  parser->body_limit(kMaxRequest);
  parser->header_limit(kMaxRequest);
  return parser;
}

}  // namespace

struct HttpReader::State {
  std::unique_ptr<Parser> parser = new_parser();
  std::string pending;

  void parse() {
    while (!pending.empty() && !parser->is_done()) {
      boost::system::error_code failure;
      const std::size_t used = parser->put(boost::asio::buffer(pending), failure);
      pending.erase(0, used);
      if (failure == http::error::need_more) return;
      if (failure) fail(ErrorKind::invalid_argument, "the request is not HTTP/1.1: {}", failure.message());
      if (used == 0) return;
    }
  }
};

HttpReader::HttpReader() : state_(std::make_unique<State>()) {}
HttpReader::~HttpReader() = default;
HttpReader::HttpReader(HttpReader&&) noexcept = default;
HttpReader& HttpReader::operator=(HttpReader&&) noexcept = default;

void HttpReader::feed(std::string_view bytes) {
  state_->pending.append(bytes);
  if (state_->pending.size() > kMaxRequest) fail(ErrorKind::invalid_argument, "the request is too long");
  state_->parse();
}

std::optional<HttpRequest> HttpReader::take() {
  if (!state_->parser->is_done()) return std::nullopt;
  auto message = state_->parser->release();
  HttpRequest out{std::string(message.method_string()), std::string(message.target()), std::move(message.body()),
                  message.keep_alive()};
  state_->parser = new_parser();
  state_->parse();
  return out;
}

std::string to_bytes(const HttpReply& reply, bool keep_alive) {
  http::response<http::string_body> response(static_cast<http::status>(reply.status), 11, reply.body);
  const bool json = reply.body.starts_with('{') || reply.body.starts_with('[');
  if (!reply.body.empty()) response.set(http::field::content_type, json ? "application/json" : "text/plain");
  response.keep_alive(keep_alive);
  response.prepare_payload();
  std::ostringstream out;
  out << response;
  return out.str();
}

}  // namespace bryo::rootless::command

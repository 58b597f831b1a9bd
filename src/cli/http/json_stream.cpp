#include "cli/http/json_stream.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace bryo::cli {
namespace {

constexpr std::size_t kMaxValue = 8 << 20;
constexpr std::string_view kBlanks = " \t\r\n";

boost::json::parse_options bounded() {
  boost::json::parse_options options;
  options.max_depth = 64;
  return options;
}

}  // namespace

JsonStream::JsonStream() : parser_({}, bounded()) {}

void JsonStream::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (size_ == 0) {
      bytes.remove_prefix(std::min(bytes.find_first_not_of(kBlanks), bytes.size()));
      if (bytes.empty()) return;
    }
    boost::json::error_code error;
    const std::size_t used = parser_.write_some(bytes.data(), bytes.size(), error);
    if (error) fail(ErrorKind::unavailable, "malformed JSON from the daemon: {}", error.message());
    size_ += used;
    if (size_ > kMaxValue)
      fail(ErrorKind::unavailable, "a JSON value from the daemon is larger than {} bytes", kMaxValue);
    bytes.remove_prefix(used);
    if (parser_.done()) {
      ready_.push_back(parser_.release());
      parser_.reset();
      size_ = 0;
    }
  }
}

std::optional<json::Value> JsonStream::next() {
  if (ready_.empty()) return std::nullopt;
  json::Value value = std::move(ready_.front());
  ready_.pop_front();
  return value;
}

}  // namespace bryo::cli

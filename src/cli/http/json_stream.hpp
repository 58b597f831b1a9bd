// A stream of JSON values, one after the other: progress, events, statistics.
#pragma once

#include <deque>
#include <optional>
#include <string_view>

#include "base/json.hpp"

namespace bryo::cli {

// Cuts a byte stream into values. Each is bounded in size and depth; throws Error{unavailable} for broken JSON.
class JsonStream {
 public:
  JsonStream();
  void feed(std::string_view bytes);
  // The oldest value that is complete.
  std::optional<json::Value> next();

 private:
  boost::json::stream_parser parser_;
  std::deque<json::Value> ready_;
  std::size_t size_ = 0;  // bytes of the value under way
};

}  // namespace bryo::cli

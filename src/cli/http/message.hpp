// HTTP/1.1 as far as the daemon's API needs it: what is sent, and the head of what comes back. The daemon is not
// trusted: every part has a bound (D14).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bryo::cli {

// Fills the buffer and returns how much; 0 ends the body. Called from the connection's own loop.
using BodySource = std::function<std::size_t(std::span<char>)>;

struct Request {
  std::string method = "GET";
  std::string target;  // path and query
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string content_type;  // set with a body
  BodySource source;         // instead of `body`: sent in chunks while the answer is read
  bool upgrade = false;      // ask for a raw stream: "Upgrade: tcp"
};

struct Head {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case

  std::string_view header(std::string_view lower_name) const;
};

inline constexpr std::size_t kMaxHeadBytes = 64 << 10;
inline constexpr std::size_t kMaxHeaders = 200;

// The bytes up to and including the blank line. Throws Error{unavailable}.
Head parse_head(std::string_view text);
// Request line and headers; throws Error{invalid_argument} when a value holds a line break.
std::string head_text(const Request& request, std::string_view authority);

// Decodes "Transfer-Encoding: chunked" a piece at a time.
class ChunkDecoder {
 public:
  struct Step {
    std::size_t consumed = 0;  // bytes of the input that are done with
    std::string_view data;     // part of the input that is body
  };
  // Takes the front of `input`, at most `limit` bytes of body; consumed == 0 means that more input is needed. Throws
  // Error{unavailable}.
  Step take(std::string_view input, std::size_t limit);
  bool done() const { return state_ == State::done; }

 private:
  enum class State { size, data, data_end, trailer, done };
  State state_ = State::size;
  std::uint64_t left_ = 0;
  std::size_t trailer_bytes_ = 0;
};

}  // namespace bryo::cli

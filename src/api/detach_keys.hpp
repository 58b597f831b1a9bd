// Docker's way out of a terminal: the key sequence (ctrl-p,ctrl-q) that leaves the container and lets it run on.
#pragma once

#include <string>
#include <string_view>

namespace bryo::api {

inline constexpr std::string_view kDefaultDetachKeys = "ctrl-p,ctrl-q";

// "ctrl-p,ctrl-q" or "a,b,ctrl-@" → the bytes that the terminal sends. Throws Error{invalid_argument}.
std::string parse_detach_keys(std::string_view text);

// Watches one client's input for the sequence. A part of it that turns out to be nothing is passed on.
class DetachScanner {
 public:
  // An empty sequence never matches.
  explicit DetachScanner(std::string sequence) : sequence_(std::move(sequence)) {}
  // What of `input` goes on to the process; detached() afterwards tells whether the sequence was completed.
  std::string filter(std::string_view input);
  bool detached() const { return detached_; }

 private:
  std::string sequence_;
  std::size_t matched_ = 0;
  bool detached_ = false;
};

}  // namespace bryo::api

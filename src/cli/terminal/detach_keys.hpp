// The key sequence that leaves a container running: Ctrl-P Ctrl-Q, or what --detach-keys says.
#pragma once

#include <string>
#include <string_view>

namespace bryo::cli {

// "ctrl-p,ctrl-q" or "a,b": bytes. Empty text means the default. Throws Error{invalid_argument}.
std::string parse_detach_keys(std::string_view text);

// Watches typed bytes. Bytes that may begin the sequence are held back until it is clear whether they do.
class DetachWatcher {
 public:
  // An empty sequence never matches.
  explicit DetachWatcher(std::string sequence) : sequence_(std::move(sequence)) {}
  struct Result {
    std::string pass;       // to send on
    bool detached = false;  // the sequence is complete; nothing after it counts
  };
  Result feed(std::string_view typed);

 private:
  std::string sequence_;
  std::size_t matched_ = 0;
};

}  // namespace bryo::cli

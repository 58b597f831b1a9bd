// A password or token. It has no operator<<, no formatter and no JSON, so it cannot get into a log, an error or a file
// by accident (D9); the bytes are wiped when it dies. reveal() is called where a request header is built, nowhere else.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace bryo::registry {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept : text_(std::move(other.text_)) { other.wipe(); }
  Secret& operator=(Secret other) noexcept {
    text_.swap(other.text_);
    return *this;
  }
  ~Secret() { wipe(); }

  bool empty() const { return text_.empty(); }
  const std::string& reveal() const { return text_; }

 private:
  void wipe() noexcept;
  std::string text_;
};

}  // namespace bryo::registry

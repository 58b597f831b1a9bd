// Writes to one program's stdin (pipe or terminal) without waiting. Part of ProcessStreams.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"
#include "monitor/event_loop.hpp"

namespace bryo::monitor {

class InputSink final : EventHandler {
 public:
  // `ready` is called when write() may be called again.
  InputSink(EventLoop& loop, UniqueFd fd, std::function<void()> ready);
  ~InputSink() { close(); }

  // False while bytes that the program has not taken wait here: give no more.
  bool ready() const { return pending_.empty(); }
  // A program that does not read any more gets nothing, and nobody waits for it.
  void write(std::string_view bytes);
  // The program sees end-of-file, after what waits.
  void close_when_written();
  void close();

 private:
  void on_events(std::uint32_t events) override;
  // Bytes that went; closes when the reader is gone.
  std::size_t put(std::string_view bytes);
  void set_watched(bool watched);

  EventLoop& loop_;
  UniqueFd fd_;
  std::function<void()> ready_;
  std::string pending_;
  bool close_when_written_ = false;
  bool watched_ = false;
};

}  // namespace bryo::monitor

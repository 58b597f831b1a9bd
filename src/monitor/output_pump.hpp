// Reads one output of a program (pipe or terminal) and hands on what comes. Part of ProcessStreams.
#pragma once

#include <functional>
#include <string_view>

#include "base/unique_fd.hpp"
#include "monitor/event_loop.hpp"

namespace bryo::monitor {

class OutputPump final : EventHandler {
 public:
  // The descriptor becomes non-blocking. Both functions may close or pause the pump, not destroy it.
  OutputPump(EventLoop& loop, UniqueFd fd, std::function<void(std::string_view)> sink, std::function<void()> ended);
  ~OutputPump() { close(); }

  // Paused, the program waits when its pipe is full.
  void set_paused(bool paused);
  // Reads what is there now, paused or not, but not without end.
  void drain();
  bool open() const { return static_cast<bool>(fd_); }
  // Without telling `ended`.
  void close();

  // Gives the buffer that all pumps share back to the kernel.
  static void release_memory();

 private:
  void on_events(std::uint32_t events) override;
  // False when there is nothing more now.
  bool read_some();
  void set_watched(bool watched);

  EventLoop& loop_;
  UniqueFd fd_;
  std::function<void(std::string_view)> sink_;
  std::function<void()> ended_;
  bool paused_ = false;
  bool watched_ = false;
  bool enlarged_ = false;
};

}  // namespace bryo::monitor

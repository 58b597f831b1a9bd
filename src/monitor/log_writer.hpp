// Writes one container's json-file log: cuts output into lines, formats, rotates. Memory: one partial line a stream
// (at most kMaxLine) and a static buffer that is given back to the kernel when the container is quiet.
//
// Every write() to the file ends at the end of a line, and everything that came in is written before the call returns
// (except the beginning of an unfinished line), so nothing is lost with bryod, and no torn line is left by a full disk:
// lines that cannot be written are dropped and counted, the container never waits. The file may exceed max_size by one
// line, as Docker's.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"
#include "monitor/log_format.hpp"
#include "monitor/types.hpp"

namespace bryo::monitor {

class LogWriter {
 public:
  // Opens or makes the file (0640, O_NOFOLLOW, must be regular: CVE-2026-53489). Throws Error. With driver none
  // everything below does nothing.
  explicit LogWriter(const LogConfig& config);

  // Output of one stream (1 stdout, 2 stderr).
  void write(int stream, std::string_view bytes);
  // The stream has ended: what is left of its last line is written without "\n".
  void finish(int stream);
  // Opens the file again by its name.
  void reopen();
  // Gives the buffer's memory back.
  void release_memory();
  std::uint64_t dropped() const { return dropped_; }
  bool enabled() const { return config_.driver == LogDriver::json_file; }

 private:
  struct Partial {
    std::string text;  // the line so far, less than kMaxLine
    LogTime time;      // of its first piece, which all pieces carry
    bool cut = false;  // a piece is in the file already
  };

  void add_piece(int stream, std::string_view text, bool newline, const LogTime& time);
  std::string_view take_line(int stream, Partial& partial, std::string_view bytes, const LogTime& now);
  void open_file();
  void rotate();
  void keep_live_file();
  void flush();
  void drop_torn_line(std::size_t written);

  LogConfig config_;
  UniqueFd directory_;
  std::string name_;
  UniqueFd file_;
  std::int64_t size_ = 0;       // of the file
  std::int64_t rotate_at_ = 0;  // size of the next rotation
  std::array<Partial, 2> partials_;
  std::size_t used_ = 0;     // bytes in the buffer
  std::uint32_t lines_ = 0;  // lines in it
  std::uint64_t dropped_ = 0;
};

}  // namespace bryo::monitor

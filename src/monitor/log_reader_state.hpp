// Where a LogReader is. Private to the log reader and the follower.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"
#include "monitor/log_files.hpp"
#include "monitor/log_line.hpp"
#include "monitor/log_reader.hpp"

namespace bryo::monitor {

class LogReader::State {
 public:
  State(std::string path, const LogQuery& query);

  bool next(std::string& frames);
  std::uint64_t malformed() const { return malformed_; }
  // A line later than `until` was seen: there is no more.
  bool past_until() const { return past_until_; }
  // After next() was false: has another file taken the place of the one that was read? Then next() goes on with it.
  // Call next() once more before: lines may have come between.
  bool follow_rotation();
  // Changes when next() goes on to another file.
  std::size_t file_number() const { return current_; }
  // Gives memory back; a partial line stays.
  void rest();
  int live_file() const { return files_[current_].get(); }

 private:
  bool take_lines(std::string& frames);
  void add_line(std::string& frames, std::string_view text);
  bool read_block();
  bool next_file();

  std::string path_;
  LogQuery query_;
  std::vector<UniqueFd> files_;
  std::size_t current_ = 0;
  off_t offset_ = 0;
  std::string buffer_;
  std::size_t used_ = 0;
  bool past_until_ = false;
  std::uint64_t malformed_ = 0;
};

}  // namespace bryo::monitor

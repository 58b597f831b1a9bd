// Where the milliseconds of one start go: named steps with their times, written as one JSON file when --trace-starts
// names a directory.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace bryo::engine {

class StartTrace {
 public:
  // Empty directory: nothing is kept.
  StartTrace(std::string directory, std::string container);
  ~StartTrace();
  StartTrace(const StartTrace&) = delete;
  StartTrace& operator=(const StartTrace&) = delete;
  // The time since the last call belongs to this step.
  void done(std::string_view step);

 private:
  using Clock = std::chrono::steady_clock;
  struct Step {
    std::string name;
    std::chrono::microseconds time;
  };
  std::string directory_;
  std::string container_;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point last_ = begin_;
  std::vector<Step> steps_;
};

}  // namespace bryo::engine

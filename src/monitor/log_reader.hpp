// Reads a container's json-file log back: `docker logs`, in Docker's multiplexed frames (raw for a terminal).
//
// LogReader answers what is in the files now (rotated ones too), oldest first, without holding more than a block in
// memory. LogFollower goes on from there: one thread pumps any number of followed logs into sockets, through rotation,
// until it is told that the container has exited and the file is drained, or the reader hangs up.
// Log files are opened with O_NOFOLLOW and must be regular (CVE-2026-53489).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/time.hpp"
#include "base/unique_fd.hpp"

namespace bryo::monitor {

struct LogQuery {
  std::optional<std::uint64_t> tail;  // last n lines; nullopt = all
  std::optional<WallTime> since;
  std::optional<WallTime> until;
  bool stdout_stream = true;
  bool stderr_stream = true;
  bool timestamps = false;
  bool details = false;  // attributes before the line
  bool raw = false;      // the container has a terminal: no frame headers
};

// One pass over the log as it is. Not synchronised.
class LogReader {
 public:
  // Throws Error{not_found} when there is no log file, {permission} when it is not a regular file.
  LogReader(const std::string& path, const LogQuery& query);
  ~LogReader();
  LogReader(LogReader&&) noexcept;
  LogReader& operator=(LogReader&&) noexcept;

  // The next batch of frames, about 32 KiB; false at the end. Malformed lines are skipped and counted.
  bool next(std::string& frames);
  std::uint64_t malformed() const;

 private:
  friend class LogFollower;
  class State;
  std::unique_ptr<State> state_;
};

// One thread for all followers. Thread-safe.
class LogFollower {
 public:
  LogFollower();
  ~LogFollower();
  LogFollower(const LogFollower&) = delete;
  LogFollower& operator=(const LogFollower&) = delete;

  // Everything the query asks for, then what is written later. Read the frames from the returned stream socket; close
  // it to stop; end-of-file after finish() of the same log, or when `until` has passed.
  UniqueFd follow(const std::string& container_id, const std::string& path, const LogQuery& query);
  // The container has exited (its log is complete): its followers get the rest and then end-of-file.
  void finish(const std::string& container_id);

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace bryo::monitor

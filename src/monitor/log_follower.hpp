// The follower's thread: epoll on the readers' sockets, inotify on the log files. Private to log_follower.cpp.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.hpp"
#include "monitor/log_reader_state.hpp"

namespace bryo::monitor {

class LogFollower::Loop {
 public:
  Loop();
  ~Loop();

  UniqueFd follow(const std::string& container_id, const std::string& path, const LogQuery& query);
  void finish(const std::string& container_id);

 private:
  using Key = std::uint64_t;
  struct Follower {
    std::string container_id;
    UniqueFd socket;
    std::unique_ptr<LogReader::State> reader;
    std::optional<WallTime> until;
    std::string pending;  // frames that the reader has not taken
    std::size_t sent = 0;
    int watch = -1;           // inotify
    std::size_t watched = 0;  // file_number() of the watched file
    bool blocked = false;     // waits for the socket
    bool finished = false;    // nothing more will be written
  };

  void run();
  void wake();
  void accept_new();
  void on_inotify();
  void on_socket(Key key, std::uint32_t events);
  void pump(Key key);
  // False when the socket takes no more now, or the follower is over.
  bool send_pending(Key key, Follower& follower);
  // False when there is nothing to read now.
  bool read_more(Key key, Follower& follower);
  void watch_file(Key key, Follower& follower);
  void unwatch_file(Key key, Follower& follower);
  void remove(Key key);
  int milliseconds_to_until() const;
  void end_expired();

  UniqueFd epoll_;
  UniqueFd inotify_;
  UniqueFd wake_;

  std::mutex mutex_;
  // Guarded by mutex_: what other threads ask for.
  std::vector<Follower> new_;
  std::vector<std::string> finished_;
  bool stopping_ = false;

  // The thread's own.
  Key next_key_ = 16;
  std::map<Key, Follower> followers_;
  std::map<int, std::vector<Key>> watches_;
  std::vector<Key> busy_;  // more to read, after the others had their turn

  std::thread thread_;
};

}  // namespace bryo::monitor

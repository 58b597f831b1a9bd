// What flows between the engine and its callers besides plain answers.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/json.hpp"
#include "base/unique_fd.hpp"

namespace bryo::engine {

// A container's or exec's stdio for one client: what Docker's attach body carries (raw when tty, else frames).
struct Stream {
  UniqueFd fd;
  bool tty = false;
};

// X-Docker-Container-Path-Stat.
struct PathStat {
  std::string name;
  std::int64_t size = 0;
  std::uint32_t mode = 0;  // Go's os.FileMode bits
  std::string mtime;       // RFC 3339
  std::string link_target;
};

// One line of a progress stream (pull, push, load, import): a JSON object without the newline.
using ProgressSink = std::function<void(const json::Value&)>;
// True once the client has gone; asked between steps.
using Cancelled = std::function<bool()>;
// The request's X-Registry-Auth, decoded; null when absent.
using RegistryAuth = json::Value;

class WaitTicket {  // destroying it withdraws the callback
 public:
  virtual ~WaitTicket() = default;
};

}  // namespace bryo::engine

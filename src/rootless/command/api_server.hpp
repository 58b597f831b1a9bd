// The API's unix socket: only its user may connect. One thread, the event loop's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "monitor/event_loop.hpp"
#include "rootless/command/api.hpp"

namespace bryo::rootless::command {

class ApiConnection;

class ApiServer final : public monitor::EventHandler {
 public:
  ApiServer(monitor::EventLoop& loop, const std::string& path, Api& api);
  ~ApiServer();

 private:
  friend class ApiConnection;
  void on_events(std::uint32_t) override;
  void bury();

  monitor::EventLoop& loop_;
  Api& api_;
  UniqueFd listener_;
  std::vector<std::unique_ptr<ApiConnection>> connections_;
  monitor::Timer burial_;
};

}  // namespace bryo::rootless::command

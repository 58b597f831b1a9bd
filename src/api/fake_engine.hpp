// An engine made of records: the test program links it instead of bryo_engine, so routes are tested without containers.
// Every call is written down as a line of text; what it answers, and whether it fails, is set by the test.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "engine/engine.hpp"

namespace bryo::api {

class FakeEngine {
 public:
  static FakeEngine& instance();
  void reset();

  void record(std::string call);
  std::vector<std::string> calls();
  std::string last_call();
  // The callback of the last container_wait; waits for one.
  std::function<void(engine::WaitResult)> waiter();
  void set_waiter(std::function<void(engine::WaitResult)> done);
  // Throws what was set for this method.
  void maybe_fail(const std::string& method);

  std::map<std::string, Error> failures;
  json::Value answer;  // for calls that give JSON
  engine::CreateRequest created;
  engine::ContainerInspect inspected;
  engine::ExecInspect exec;
  UniqueFd stream;  // given away by the next call that gives a descriptor
  bool tty = false;
  bool exits_at_once = false;  // container_wait
  std::function<void(const engine::ProgressSink&, const engine::Cancelled&)> transfer;
  std::string tar;  // what exports give, and where uploads land

 private:
  std::mutex mutex_;
  std::condition_variable waiter_set_;
  std::function<void(engine::WaitResult)> waiter_;
  std::vector<std::string> calls_;
};

}  // namespace bryo::api

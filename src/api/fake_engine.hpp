// An engine made of records: the test program links it instead of bryo_engine, so routes are tested without containers.
// Every call is written down as a line of text; what it answers, and whether it fails, is set by the test.
#pragma once

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
  // Throws what was set for this method.
  void maybe_fail(const std::string& method);

  std::map<std::string, Error> failures;
  json::Value answer;  // for calls that give JSON
  engine::CreateRequest created;
  engine::ContainerInspect inspected;
  engine::ExecInspect exec;
  UniqueFd stream;  // given away by the next call that gives a descriptor
  bool tty = false;
  std::function<void(engine::WaitResult)> waiting;
  std::function<void(const engine::ProgressSink&, const engine::Cancelled&)> transfer;
  std::string tar;  // what exports give, and where uploads land

 private:
  std::mutex mutex_;
  std::vector<std::string> calls_;
};

}  // namespace bryo::api

// A hub with real monitor processes (plain-monitor: no containers, no root), for the tests of this folder.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <string>
#include <vector>

#include "monitor/hub.hpp"
#include "monitor/log_reader.hpp"
#include "monitor/test_support.hpp"

namespace bryo::monitor::testing_support {

class HubTest : public testing::Test {
 protected:
  void SetUp() override { start_hub(); }
  void start_hub() {
    hub_ = std::make_unique<MonitorHub>(MonitorProgram(beside_this_program("plain-monitor")), listener_);
  }
  StartRequest request(const std::vector<std::string>& arguments, const std::string& id = "c1") {
    StartRequest request;
    request.container_id = id;
    request.runtime_directory = scratch_.file("run-" + id);
    if (!kernel::try_make_directory(AT_FDCWD, request.runtime_directory, 0700))
      kernel::change_mode(kernel::open_trusted(request.runtime_directory, O_RDONLY).get(), 0700);
    request.plan = plain_plan(arguments);
    request.log = {LogDriver::json_file, scratch_.file(id + ".log"), -1, 1, ""};
    return request;
  }
  StartRequest shell(const std::string& script, const std::string& id = "c1") {
    return request({"sh", "-c", script}, id);
  }
  Streams log(const std::string& id = "c1") const {
    LogReader reader(scratch_.file(id + ".log"), {});
    std::string all, frames;
    while (reader.next(frames)) all += frames;
    return unframe(all);
  }
  static constexpr AttachRequest kAll{true, true, true};

  ScratchDirectory scratch_;
  RecordingListener listener_;
  std::unique_ptr<MonitorHub> hub_;
};

}  // namespace bryo::monitor::testing_support

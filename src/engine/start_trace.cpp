#include "engine/start_trace.hpp"

#include <fcntl.h>

#include "base/json.hpp"
#include "base/log.hpp"
#include "kernel/files.hpp"

namespace bryo::engine {

StartTrace::StartTrace(std::string directory, std::string container)
    : directory_(std::move(directory)), container_(std::move(container)) {}

void StartTrace::done(std::string_view step) {
  if (directory_.empty()) return;
  const auto now = Clock::now();
  steps_.push_back({std::string(step), std::chrono::duration_cast<std::chrono::microseconds>(now - last_)});
  last_ = now;
}

StartTrace::~StartTrace() {
  if (directory_.empty()) return;
  json::Array steps;
  for (const Step& step : steps_)
    steps.push_back(json::Object{{"step", step.name}, {"microseconds", step.time.count()}});
  const auto total = std::chrono::duration_cast<std::chrono::microseconds>(last_ - begin_).count();
  const json::Value document =
      json::Object{{"container", container_}, {"microseconds", total}, {"steps", std::move(steps)}};
  try {
    const UniqueFd file =
        kernel::open_trusted(directory_ + "/" + container_ + ".json", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const std::string text = json::pretty(document) + "\n";
    kernel::write_all(file.get(), std::as_bytes(std::span(text)));
  } catch (const Error& error) {
    log::warning("write the trace of a start: {}", error.what());
  }
}

}  // namespace bryo::engine

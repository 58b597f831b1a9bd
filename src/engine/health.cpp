#include "engine/health.hpp"

#include <poll.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/time.hpp"

namespace bryo::engine {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr std::size_t kMaxOutput = 4096;  // as Docker keeps
constexpr std::size_t kMaxLog = 5;
constexpr std::size_t kFrameHeader = 8;
constexpr auto kProbeEnd = seconds(10);  // from SIGTERM to SIGKILL, as Docker gives it

nanoseconds or_default(std::int64_t asked, nanoseconds fallback) { return asked > 0 ? nanoseconds(asked) : fallback; }

}  // namespace

// One run of one container; a later run makes another.
struct HealthChecks::Check {
  ContainerPtr container;
  std::uint64_t run = 0;
  std::vector<std::string> command;
  nanoseconds interval{};
  nanoseconds timeout{};
  nanoseconds start_period{};
  nanoseconds start_interval{};
  int retries = 3;
  std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();

  bool current() const {
    std::lock_guard lock(container->mutex);
    return container->is_up() && container->runs == run;
  }
  bool starting() const { return std::chrono::steady_clock::now() - begun < start_period; }
};

void HealthChecks::came_up(const ContainerPtr& container) {
  auto check = std::make_shared<Check>();
  {
    std::lock_guard lock(container->mutex);
    const auto& config = container->record.config.healthcheck;
    if (!config || config->test.empty() || config->test.front() == "NONE") {
      container->health.reset();
      return;
    }
    check->container = container;
    check->run = container->runs;
    if (config->test.front() == "CMD-SHELL") {
      const auto& shell = container->record.config.shell;
      check->command = shell && !shell->empty() ? *shell : std::vector<std::string>{"/bin/sh", "-c"};
      if (config->test.size() > 1) check->command.push_back(config->test[1]);
    } else {
      const bool has_word = config->test.front() == "CMD";
      check->command.assign(config->test.begin() + (has_word ? 1 : 0), config->test.end());
    }
    check->interval = or_default(config->interval, seconds(30));
    check->timeout = or_default(config->timeout, seconds(30));
    check->start_period = nanoseconds(config->start_period);
    check->start_interval = or_default(config->start_interval, seconds(5));
    check->retries = config->retries > 0 ? config->retries : 3;
    container->health = Health{"starting", 0, {}};
  }
  if (!check->command.empty()) schedule(check);
}

void HealthChecks::went_down(const ContainerPtr& container) {
  std::lock_guard lock(container->mutex);
  if (container->health && container->health->status != "unhealthy") container->health->status = "unhealthy";
}

void HealthChecks::schedule(const std::shared_ptr<Check>& check) {
  const bool early =
      check->starting() && check->start_interval < check->interval && check->start_period > nanoseconds(0);
  s_.pool.post_after(early ? check->start_interval : check->interval, [this, check] {
    if (!check->current()) return;
    probe(check);
    schedule(check);
  });
}

void HealthChecks::probe(const std::shared_ptr<Check>& check) {
  {
    std::lock_guard lock(check->container->mutex);
    if (check->container->status == Status::paused) return;
  }
  const WallTime start = wall_now();
  ProbeResult result;
  try {
    result = run(*check);
  } catch (const Error& error) {
    result = {error.exit_code() != 0 ? error.exit_code() : -1, error.message()};
  }
  record(check, result, start);
}

HealthChecks::ProbeResult HealthChecks::run(const Check& check) {
  ExecCreateRequest request;
  request.attach_stdout = request.attach_stderr = true;
  request.cmd = check.command;
  const std::string id = execs_.create(check.container, request);
  const Stream stream = execs_.start(id, {});
  ProbeResult result;
  std::string frames;
  const auto deadline = std::chrono::steady_clock::now() + check.timeout;
  // The next one does not begin before this one has ended: probes that hang do not pile up in the container.
  const auto too_late = [&]() -> ProbeResult {
    execs_.end(id, kProbeEnd);
    return {-1,
            fmt::format("Health check exceeded timeout ({}s)", std::chrono::duration<double>(check.timeout).count())};
  };
  char buffer[4096];
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    pollfd wanted{stream.fd.get(), POLLIN, 0};
    if (left <= 0 || ::poll(&wanted, 1, static_cast<int>(std::min<long>(left, 60'000))) < 0) return too_late();
    if (wanted.revents == 0) continue;
    const ssize_t got = ::read(stream.fd.get(), buffer, sizeof buffer);
    if (got <= 0) break;
    if (frames.size() < kMaxOutput * 4) frames.append(buffer, static_cast<std::size_t>(got));
  }
  // Frames: one byte stream, three zeros, four bytes length (big endian), payload.
  for (std::size_t at = 0; at + kFrameHeader <= frames.size();) {
    std::size_t length = 0;
    for (std::size_t i = 4; i < kFrameHeader; ++i) length = length << 8 | static_cast<unsigned char>(frames[at + i]);
    result.output += frames.substr(at + kFrameHeader, length);
    at += kFrameHeader + length;
  }
  if (result.output.size() > kMaxOutput) result.output.resize(kMaxOutput);
  const auto code = execs_.wait(id, deadline);
  if (!code) return too_late();
  result.code = *code;
  return result;
}

void HealthChecks::record(const std::shared_ptr<Check>& check, const ProbeResult& result, WallTime start) {
  Record of_container;
  std::string changed;
  {
    std::lock_guard lock(check->container->mutex);
    if (!check->container->is_up() || check->container->runs != check->run || !check->container->health) return;
    Health& health = *check->container->health;
    health.log.push_back({to_rfc3339_nano(start), to_rfc3339_nano(wall_now()), result.code, result.output});
    if (health.log.size() > kMaxLog) health.log.erase(health.log.begin());
    const std::string before = health.status;
    if (result.code == 0) {
      health.failing_streak = 0;
      health.status = "healthy";
    } else if (!(check->starting() && before == "starting")) {
      if (++health.failing_streak >= check->retries) health.status = "unhealthy";
    }
    if (health.status != before) changed = health.status;
    of_container = check->container->record;
  }
  if (!changed.empty()) s_.publish(of_container, "health_status: " + changed);
}

}  // namespace bryo::engine

#include "base/error.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/escape.hpp"
#include "cli/options/create_options.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {
    {"blkio-weight", 0, &kUint16, "BlkioWeight", "Block IO weight, 10 to 1000; 0 to disable", "0"},
    {"cpu-period", 0, &kInteger, "CpuPeriod", "CFS period in microseconds"},
    {"cpu-quota", 0, &kInteger, "CpuQuota", "CFS quota in microseconds"},
    {"cpu-rt-period", 0, &kInteger, "CpuRealtimePeriod", "Real-time period in microseconds"},
    {"cpu-rt-runtime", 0, &kInteger, "CpuRealtimeRuntime", "Real-time runtime in microseconds"},
    {"cpu-shares", 'c', &kInteger, "CpuShares", "Relative share of CPU time"},
    {"cpus", 0, &kCpus, "NanoCpus", "How many CPUs the container may use"},
    {"cpuset-cpus", 0, &kText, "CpusetCpus", "CPUs to run on (0-3, 0,1)"},
    {"cpuset-mems", 0, &kText, "CpusetMems", "Memory nodes to use (0-3, 0,1)"},
    {"kernel-memory", 0, &kBytes, "", ""},
    {"memory", 'm', &kBytes, "Memory", "Memory limit"},
    {"memory-reservation", 0, &kBytes, "MemoryReservation", "Soft memory limit"},
    {"memory-swap", 0, &kSwapBytes, "MemorySwap", "Memory and swap together; -1 for unlimited swap"},
    {"pids-limit", 0, &kInteger, "PidsLimit", "Most processes and threads; -1 for unlimited"},
    {"restart", 0, &kText, "", "When to start the container again"},
};

int run_update(Context& context, const Arguments& arguments) {
  json::Object body;
  arguments.fill(body);
  if (arguments.given("restart")) body["RestartPolicy"] = parse_restart_policy(arguments.text("restart"));
  if (body.empty()) fail(ErrorKind::invalid_argument, "you must provide one or more flags when using this command");
  std::vector<std::string> warnings;
  const int status = for_each_printed(context, arguments.words(), [&](const std::string& name) {
    const json::Value answer = context.client().post(container_path(name, "/update"), body).json();
    for (std::string& warning : texts_at(answer, "Warnings")) warnings.push_back(std::move(warning));
  });
  for (const std::string& warning : warnings) context.out.print("{}\n", terminal_safe(warning));
  return status;
}

}  // namespace

const Command kUpdate = {.names = "update|container update",
                         .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
                         .summary = "Change the limits of containers",
                         .options = kRows,
                         .minimum = 1,
                         .run = run_update};

}  // namespace bryo::cli

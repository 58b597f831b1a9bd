#include "cli/commands/usage.hpp"

#include <fmt/format.h>

#include "cli/commands/values.hpp"
#include "cli/format/units.hpp"

namespace bryo::cli {
namespace {

double cpu_percent(const json::Value& sample) {
  const double used =
      real_at(sample, "cpu_stats.cpu_usage.total_usage") - real_at(sample, "precpu_stats.cpu_usage.total_usage");
  const double system =
      real_at(sample, "cpu_stats.system_cpu_usage") - real_at(sample, "precpu_stats.system_cpu_usage");
  double cpus = real_at(sample, "cpu_stats.online_cpus");
  if (cpus == 0) cpus = static_cast<double>(array_at(sample, "cpu_stats.cpu_usage.percpu_usage").size());
  return used > 0 && system > 0 ? used / system * cpus * 100 : 0;
}

// Without the page cache that could be dropped: v1 and v2 call it differently.
double memory_used(const json::Value& sample) {
  const double usage = real_at(sample, "memory_stats.usage");
  for (const char* cache : {"memory_stats.stats.total_inactive_file", "memory_stats.stats.inactive_file"})
    if (const double inactive = real_at(sample, cache); inactive > 0 && inactive < usage) return usage - inactive;
  return usage;
}

void add_block_io(const json::Value& sample, Usage& out) {
  for (const json::Value& entry : array_at(sample, "blkio_stats.io_service_bytes_recursive")) {
    const std::string operation = text_at(entry, "op");
    if (operation.starts_with('r') || operation.starts_with('R')) out.block_read += real_at(entry, "value");
    if (operation.starts_with('w') || operation.starts_with('W')) out.block_write += real_at(entry, "value");
  }
}

}  // namespace

const ListStyle kUsageStyle = {
    "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
    "",
    {{"Container", "CONTAINER"},
     {"Name", "NAME"},
     {"ID", "CONTAINER ID"},
     {"CPUPerc", "CPU %"},
     {"MemUsage", "MEM USAGE / LIMIT"},
     {"MemPerc", "MEM %"},
     {"NetIO", "NET I/O"},
     {"BlockIO", "BLOCK I/O"},
     {"PIDs", "PIDS"}},
    "*container.statsContext"};

Usage usage_of(const json::Value& sample) {
  Usage out;
  out.id = text_at(sample, "id");
  out.name = text_at(sample, "name");
  out.cpu_percent = cpu_percent(sample);
  out.memory = memory_used(sample);
  out.memory_limit = real_at(sample, "memory_stats.limit");
  out.memory_percent = out.memory_limit > 0 ? out.memory / out.memory_limit * 100 : 0;
  for (const auto& item : object_at(sample, "networks")) {
    out.network_in += real_at(item.value(), "rx_bytes");
    out.network_out += real_at(item.value(), "tx_bytes");
  }
  add_block_io(sample, out);
  out.pids = static_cast<std::uint64_t>(std::max<std::int64_t>(number_at(sample, "pids_stats.current"), 0));
  out.valid = true;
  return out;
}

Row usage_row(const Usage& usage, bool truncate) {
  const auto pair = [](double a, double b) { return human_size(a, 3) + " / " + human_size(b, 3); };
  const std::string name = usage.name.starts_with('/') ? usage.name.substr(1) : usage.name;
  Row row;
  if (!usage.valid) {
    row.fields = json::Object{{"Container", usage.container},
                              {"ID", "--"},
                              {"Name", name.empty() ? "--" : name},
                              {"CPUPerc", "--"},
                              {"MemUsage", "-- / --"},
                              {"MemPerc", "--"},
                              {"NetIO", "--"},
                              {"BlockIO", "--"},
                              {"PIDs", "--"}};
    return row;
  }
  row.fields = json::Object{{"Container", usage.container},
                            {"ID", truncate ? short_id(usage.id) : usage.id},
                            {"Name", name},
                            {"CPUPerc", fmt::format("{:.2f}%", usage.cpu_percent)},
                            {"MemUsage", binary_size(usage.memory) + " / " + binary_size(usage.memory_limit)},
                            {"MemPerc", fmt::format("{:.2f}%", usage.memory_percent)},
                            {"NetIO", pair(usage.network_in, usage.network_out)},
                            {"BlockIO", pair(usage.block_read, usage.block_write)},
                            {"PIDs", std::to_string(usage.pids)}};
  return row;
}

}  // namespace bryo::cli

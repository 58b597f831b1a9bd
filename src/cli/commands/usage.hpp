// The figures of `stats`, from one sample of GET /containers/ID/stats.
#pragma once

#include <string>

#include "cli/format/listing.hpp"

namespace bryo::cli {

struct Usage {
  std::string container;  // as the user named it
  std::string id;
  std::string name;
  double cpu_percent = 0;
  double memory = 0;
  double memory_limit = 0;
  double memory_percent = 0;
  double network_in = 0;
  double network_out = 0;
  double block_read = 0;
  double block_write = 0;
  std::uint64_t pids = 0;
  bool valid = false;  // false: nothing known yet, shown as "--"
};

Usage usage_of(const json::Value& sample);
Row usage_row(const Usage& usage, bool truncate);
extern const ListStyle kUsageStyle;

}  // namespace bryo::cli

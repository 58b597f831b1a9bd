// One line of a pull's or push's progress stream, as `docker pull` and docker-py read it (jsonmessage).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/json.hpp"

namespace bryo::images {

struct ProgressEvent {
  std::string status;  // "Downloading"
  std::string id;      // "d7e8ec85c5ab", or the tag of "latest: Pulling from …"; empty: a line of its own
  std::int64_t current = 0;
  std::int64_t total = 0;     // 0: unknown
  bool has_progress = false;  // carries progressDetail, also an empty one (as Docker's first lines of a layer do)
  json::Value aux;            // push: {"Tag":…,"Digest":…,"Size":…}; then nothing else is set

  // {"status":"Downloading","progressDetail":{"current":…,"total":…},"progress":"[==>  ]  1.2MB/3.4MB","id":"…"}
  json::Value encode_json() const;
};

// Called from several threads, one at a time.
using ProgressEvents = std::function<void(const ProgressEvent&)>;

// "[=====>      ]  1.049MB/3.4MB": what old clients print.
std::string progress_bar(std::int64_t current, std::int64_t total);
// Decimal units with four digits, as Docker's clients print sizes: "1.049MB".
std::string human_size(double bytes);

}  // namespace bryo::images

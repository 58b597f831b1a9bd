#include "images/pull_progress.hpp"

#include <algorithm>
#include <array>

namespace bryo::images {

json::Value ProgressEvent::encode_json() const {
  json::Object out;
  if (!aux.is_null()) {
    out["progressDetail"] = json::Object();
    out["aux"] = aux;
    return out;
  }
  out["status"] = status;
  if (has_progress) {
    json::Object detail;
    if (current != 0 || total != 0) detail["current"] = current;
    if (total != 0) detail["total"] = total;
    if (!detail.empty()) out["progress"] = progress_bar(current, total);
    out["progressDetail"] = std::move(detail);
  }
  if (!id.empty()) out["id"] = id;
  return out;
}

std::string progress_bar(std::int64_t current, std::int64_t total) {
  const std::string done = human_size(static_cast<double>(current));
  if (total <= 0) return fmt::format("{:>8}", done);
  const auto filled = static_cast<std::size_t>(std::clamp<std::int64_t>(current * 50 / total, 0, 50));
  const std::string bar = "[" + std::string(filled, '=') + ">" + std::string(50 - filled, ' ') + "] ";
  if (current > total) return bar + fmt::format("{:>8}", done);
  return bar + fmt::format("{:>8}/{}", done, human_size(static_cast<double>(total)));
}

std::string human_size(double bytes) {
  constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  for (; bytes >= 1000 && unit + 1 < kUnits.size(); ++unit) bytes /= 1000;
  return fmt::format("{:.4g}{}", bytes, kUnits[unit]);
}

}  // namespace bryo::images

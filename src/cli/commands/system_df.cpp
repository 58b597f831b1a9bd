#include <fmt/format.h>

#include "base/error.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/container_rows.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/image_rows.hpp"
#include "cli/commands/values.hpp"
#include "cli/commands/volume_rows.hpp"
#include "cli/format/units.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {
    {"format", 0, &kText, "", "table, json, or a Go template"},
    {"verbose", 'v', &kFlag, "", "Show every object"},
};

const ListStyle kStyle = {
    "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
    "",
    {{"Type", "TYPE"}, {"TotalCount", "TOTAL"}, {"Active", "ACTIVE"}, {"Size", "SIZE"}, {"Reclaimable", "RECLAIMABLE"}},
    "*formatter.diskUsageContext"};

const ListStyle kCacheStyle = {
    "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}",
    "",
    {{"ID", "CACHE ID"},
     {"CacheType", "CACHE TYPE"},
     {"Size", "SIZE"},
     {"CreatedSince", "CREATED"},
     {"LastUsedSince", "LAST USED"},
     {"UsageCount", "USAGE"},
     {"Shared", "SHARED"}},
    "*formatter.buildCacheContext"};

struct Total {
  std::size_t count = 0;
  std::size_t active = 0;
  double size = 0;
  double used = 0;

  Row row(const char* type, bool percent) const {
    const double reclaimable = std::max(size - used, 0.0);
    std::string text = human_size(reclaimable);
    if (percent && size > 0) text += fmt::format(" ({}%)", static_cast<int>(reclaimable * 100 / size));
    Row out;
    out.fields = json::Object{{"Type", type},
                              {"TotalCount", std::to_string(count)},
                              {"Active", std::to_string(active)},
                              {"Size", human_size(size)},
                              {"Reclaimable", text}};
    return out;
  }
};

Total images_total(const json::Value& usage) {
  Total total;
  total.size = real_at(usage, "LayersSize");
  for (const json::Value& image : array_at(usage, "Images")) {
    ++total.count;
    if (number_at(image, "Containers") <= 0) continue;
    ++total.active;
    const double size = real_at(image, "Size");
    const double shared = real_at(image, "SharedSize");
    if (size >= 0 && shared >= 0) total.used += size - shared;
  }
  return total;
}

Total containers_total(const json::Value& usage) {
  Total total;
  for (const json::Value& container : array_at(usage, "Containers")) {
    ++total.count;
    const double size = real_at(container, "SizeRw");
    total.size += size;
    const std::string state = text_at(container, "State");
    if (state != "running" && state != "paused" && state != "restarting") continue;
    ++total.active;
    total.used += size;
  }
  return total;
}

Total volumes_total(const json::Value& usage) {
  Total total;
  for (const json::Value& volume : array_at(usage, "Volumes")) {
    ++total.count;
    const double size = std::max(real_at(volume, "UsageData.Size"), 0.0);
    total.size += size;
    if (number_at(volume, "UsageData.RefCount") <= 0) continue;
    ++total.active;
    total.used += size;
  }
  return total;
}

Total cache_total(const json::Value& usage) {
  Total total;
  for (const json::Value& record : array_at(usage, "BuildCache")) {
    ++total.count;
    const double size = flag_at(record, "Shared") ? 0 : real_at(record, "Size");
    total.size += size;
    if (!flag_at(record, "InUse")) continue;
    ++total.active;
    total.used += size;
  }
  return total;
}

std::vector<Row> cache_rows(const json::Value& usage) {
  std::vector<Row> rows;
  for (const json::Value& record : array_at(usage, "BuildCache")) {
    const std::int64_t used = unix_time(text_at(record, "LastUsedAt"));
    Row row;
    row.fields = json::Object{{"ID", text_at(record, "ID").substr(0, 12)},
                              {"CacheType", text_at(record, "Type")},
                              {"Size", human_size(real_at(record, "Size"), 3)},
                              {"CreatedSince", human_ago(unix_time(text_at(record, "CreatedAt")), unix_now())},
                              {"LastUsedSince", used == 0 ? "" : human_ago(used, unix_now())},
                              {"UsageCount", std::to_string(number_at(record, "UsageCount"))},
                              {"Shared", flag_at(record, "Shared") ? "true" : "false"}};
    rows.push_back(std::move(row));
  }
  return rows;
}

constexpr const char* kImageTable =
    "table "
    "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}"
    "}";
constexpr const char* kContainerTable =
    "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
constexpr const char* kVolumeTable = "table {{.Name}}\t{{.Links}}\t{{.Size}}";

void print_everything(Context& context, const json::Value& usage) {
  std::vector<Row> images;
  for (const json::Value& image : array_at(usage, "Images"))
    for (Row& row : image_rows(image, {true, false, unix_now()})) images.push_back(std::move(row));
  std::vector<Row> containers;
  for (const json::Value& container : array_at(usage, "Containers")) {
    Row row = container_row(container, true, unix_now());
    row.fields.as_object()["Size"] = human_size(real_at(container, "SizeRw"), 3);
    containers.push_back(std::move(row));
  }
  std::vector<Row> volumes;
  for (const json::Value& volume : array_at(usage, "Volumes")) volumes.push_back(volume_row(volume));
  context.out.print("Images space usage:\n\n{}\n", format_list(kImageStyle, kImageTable, false, images));
  context.out.print("Containers space usage:\n\n{}\n",
                    format_list(kContainerStyle, kContainerTable, false, containers));
  context.out.print("Local Volumes space usage:\n\n{}\n", format_list(kVolumeStyle, kVolumeTable, false, volumes));
  context.out.print("Build cache usage: {}\n\n{}", human_size(cache_total(usage).size),
                    format_list(kCacheStyle, "", false, cache_rows(usage)));
}

int run_df(Context& context, const Arguments& arguments) {
  const std::string format = arguments.text("format");
  const json::Value usage = context.client().get("/system/df").json();
  if (arguments.flag("verbose") && (format.empty() || format == "table")) {
    print_everything(context, usage);
    return 0;
  }
  const std::vector<Row> rows = {
      images_total(usage).row("Images", true), containers_total(usage).row("Containers", true),
      volumes_total(usage).row("Local Volumes", true), cache_total(usage).row("Build Cache", false)};
  context.out.write(format_list(kStyle, format, false, rows));
  return 0;
}

}  // namespace

const Command kSystemDf = {.names = "system df",
                           .usage = "[OPTIONS]",
                           .summary = "Show what takes up disk space",
                           .options = kRows,
                           .maximum = 0,
                           .run = run_df};

}  // namespace bryo::cli

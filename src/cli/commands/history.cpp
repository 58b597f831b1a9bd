#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/escape.hpp"
#include "cli/format/listing.hpp"
#include "cli/format/units.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {
    {"format", 0, &kText, "", "table, json, or a Go template"},
    {"human", 'H', &kFlag, "", "Sizes and ages for people", "true"},
    {"no-trunc", 0, &kFlag, "", "Show everything whole"},
    {"quiet", 'q', &kFlag, "", "Show ids only"},
};

constexpr std::size_t kCreatedByWidth = 45;

const ListStyle kStyle = {"{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
                          "{{.ID}}",
                          {{"ID", "IMAGE"},
                           {"CreatedSince", "CREATED"},
                           {"CreatedAt", "CREATED AT"},
                           {"CreatedBy", "CREATED BY"},
                           {"Size", "SIZE"},
                           {"Comment", "COMMENT"}},
                          "*formatter.historyContext"};

std::string rfc3339_local(std::int64_t seconds) {
  // "2026-11-22 02:34:58 +0000 UTC" → "2026-11-22T02:34:58+00:00", or Z
  std::string text = local_time(seconds).substr(0, 25);
  text[10] = 'T';
  const std::string zone = text.substr(20, 5);
  return text.substr(0, 19) + (zone == "+0000" ? "Z" : zone.substr(0, 3) + ":" + zone.substr(3));
}

std::string created_by(const json::Value& layer, bool truncate) {
  std::string text = text_at(layer, "CreatedBy");
  for (char& c : text)
    if (c == '\t') c = ' ';
  return truncate ? ellipsis(text, kCreatedByWidth) : text;
}

int run_history(Context& context, const Arguments& arguments) {
  const bool truncate = !arguments.flag("no-trunc");
  const bool human = arguments.flag("human", true);
  const json::Value layers = context.client().get(image_path(arguments.words()[0], "/history")).json();
  std::vector<Row> rows;
  for (const json::Value& layer : array_at(layers, "")) {
    const std::int64_t created = number_at(layer, "Created");
    const std::string id = text_at(layer, "Id");
    Row row;
    row.fields =
        json::Object{{"ID", truncate ? short_id(id) : id},
                     {"CreatedSince", !human         ? rfc3339_local(created)
                                      : created <= 0 ? "N/A"
                                                     : human_ago(created, unix_now())},
                     {"CreatedAt", rfc3339_local(created)},
                     {"CreatedBy", created_by(layer, truncate)},
                     {"Size", human ? human_size(real_at(layer, "Size"), 3) : std::to_string(number_at(layer, "Size"))},
                     {"Comment", text_at(layer, "Comment")}};
    rows.push_back(std::move(row));
  }
  ListStyle style = kStyle;
  if (!human) style.columns[1].heading = "CREATED AT";
  context.out.write(format_list(style, arguments.text("format"), arguments.flag("quiet"), rows));
  return 0;
}

}  // namespace

const Command kHistory = {.names = "history|image history",
                          .usage = "[OPTIONS] IMAGE",
                          .summary = "Show the layers of an image",
                          .options = kRows,
                          .minimum = 1,
                          .maximum = 1,
                          .run = run_history};

}  // namespace bryo::cli

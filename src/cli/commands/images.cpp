#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/image_rows.hpp"
#include "cli/commands/values.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {
    {"all", 'a', &kFlag, "", "Show intermediate images too"},
    {"digests", 0, &kFlag, "", "Show digests"},
    {"filter", 'f', &kFilter, "", "Show only what fits (dangling=true, reference=x …)"},
    {"format", 0, &kText, "", "table, json, or a Go template"},
    {"no-trunc", 0, &kFlag, "", "Show ids whole"},
    {"quiet", 'q', &kFlag, "", "Show ids only"},
};

constexpr const char* kWithDigests =
    "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t"
    "{{.Size}}";

int run_images(Context& context, const Arguments& arguments) {
  const bool quiet = arguments.flag("quiet");
  std::string format = arguments.text("format");
  if (format.empty() && !quiet) format = context.config().text("imagesFormat");
  json::Object filters = arguments.filters();
  if (!arguments.words().empty()) {
    json::Value& references = filters["reference"];
    if (!references.is_object()) references = json::Object();
    references.get_object()[arguments.words()[0]] = true;
  }
  Query query;
  query.add_if(arguments.flag("all"), "all", "1");
  add_filters(query, filters);
  const json::Value list = context.client().get("/images/json" + query.str()).json();
  const bool digests = arguments.flag("digests");
  const ImageRowOptions options{!arguments.flag("no-trunc"), digests || format.find(".Digest") != std::string::npos,
                                unix_now()};
  std::vector<Row> rows;
  for (const json::Value& image : array_at(list, ""))
    for (Row& row : image_rows(image, options)) rows.push_back(std::move(row));
  if (digests && !quiet && (format.empty() || format == "table")) format = kWithDigests;
  context.out.write(format_list(kImageStyle, format, quiet, rows));
  return 0;
}

}  // namespace

const Command kImages = {.names = "images|image ls|image list",
                         .usage = "[OPTIONS] [REPOSITORY[:TAG]]",
                         .summary = "List images",
                         .options = kRows,
                         .maximum = 1,
                         .run = run_images};

}  // namespace bryo::cli

#include "cli/commands/catalogue.hpp"
#include "cli/commands/container_rows.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {
    {"all", 'a', &kFlag, "", "Show stopped containers too"},
    {"filter", 'f', &kFilter, "", "Show only what fits (name=x, status=exited, label=k=v …)"},
    {"format", 0, &kText, "", "table, json, or a Go template"},
    {"last", 'n', &kInteger, "", "Show the newest n containers, in any state", "-1"},
    {"latest", 'l', &kFlag, "", "Show the newest container, in any state"},
    {"no-trunc", 0, &kFlag, "", "Show ids and commands whole"},
    {"quiet", 'q', &kFlag, "", "Show ids only"},
    {"size", 's', &kFlag, "", "Show sizes"},
};

bool mentions_size(const std::string& format) {
  return format.find(".Size") != std::string::npos || format.find("json .}") != std::string::npos;
}

int run_ps(Context& context, const Arguments& arguments) {
  const bool quiet = arguments.flag("quiet");
  std::string format = arguments.text("format");
  if (format.empty() && !quiet) format = context.config().text("psFormat");
  const bool size = arguments.flag("size") || mentions_size(format);
  const std::int64_t last = arguments.number("last").value_or(arguments.flag("latest") ? 1 : -1);
  Query query;
  query.add_if(arguments.flag("all"), "all", "1")
      .add_if(last > 0, "limit", std::to_string(last))
      .add_if(size, "size", "1");
  add_filters(query, arguments.filters());
  const json::Value list = context.client().get("/containers/json" + query.str()).json();
  std::vector<Row> rows;
  for (const json::Value& container : array_at(list, ""))
    rows.push_back(container_row(container, !arguments.flag("no-trunc"), unix_now()));
  const bool default_table = format.empty() || format == "table";
  if (default_table && arguments.flag("size") && !quiet)
    format = "table " + std::string(kContainerStyle.table) + "\t{{.Size}}";
  context.out.write(format_list(kContainerStyle, format, quiet, rows));
  return 0;
}

}  // namespace

const Command kPs = {.names = "ps|container ls|container list|container ps",
                     .usage = "[OPTIONS]",
                     .summary = "List containers",
                     .options = kRows,
                     .maximum = 0,
                     .run = run_ps};

}  // namespace bryo::cli

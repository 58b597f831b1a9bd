#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/time.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/escape.hpp"
#include "cli/format/json_text.hpp"
#include "cli/format/template.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {
    {"filter", 'f', &kFilter, "", "Show only what fits (type=container, event=start, container=x …)"},
    {"format", 0, &kText, "", "json, or a Go template"},
    {"since", 0, &kText, "", "From this time on"},
    {"until", 0, &kText, "", "Up to this time"},
};

// "2026-11-22T03:43:39.896013818Z", in local time, always with nine digits.
std::string event_time(const json::Value& event) {
  const std::int64_t nanos = number_at(event, "timeNano");
  const std::int64_t seconds = nanos != 0 ? nanos / 1'000'000'000 : number_at(event, "time");
  const std::string local = local_time(seconds);  // 2026-11-22 03:43:39 +0000 UTC
  const std::string zone = local.substr(20, 5);
  return fmt::format("{}T{}.{:09}{}", local.substr(0, 10), local.substr(11, 8), nanos % 1'000'000'000,
                     zone == "+0000" ? "Z" : zone.substr(0, 3) + ":" + zone.substr(3));
}

// TIME TYPE ACTION ID (key=value, …)
std::string event_line(const json::Value& event) {
  std::string out = fmt::format("{} {} {} {}", event_time(event), text_at(event, "Type"), text_at(event, "Action"),
                                text_at(event, "Actor.ID"));
  std::vector<std::string> attributes;
  for (const auto& item : object_at(event, "Actor.Attributes"))
    attributes.push_back(fmt::format("{}={}", std::string_view(item.key().data(), item.key().size()),
                                     item.value().is_string() ? item.value().get_string().c_str() : ""));
  std::sort(attributes.begin(), attributes.end());
  if (!attributes.empty()) out += " (" + join(attributes, ", ") + ")";
  return terminal_safe(out);
}

int run_events(Context& context, const Arguments& arguments) {
  std::string format = arguments.text("format");
  if (format == "json") format = "{{json .}}";
  std::optional<Template> tmpl;
  if (!format.empty()) {
    try {
      tmpl = Template::parse(format);
    } catch (const Error& error) {
      throw Error(error.kind(), "Error parsing format: " + error.message()).with_exit_code(64);
    }
  }
  Query query;
  for (const char* bound : {"since", "until"})
    if (const std::string text = arguments.text(bound); !text.empty()) query.add(bound, api_timestamp(bound, text));
  add_filters(query, arguments.filters());
  Answer answer = context.client().get("/events" + query.str());
  for_each_value(answer, [&](const json::Value& event) {
    Template::Data data;
    data.root = &event;
    context.out.print("{}\n", tmpl ? tmpl->render(data) : event_line(event));
    context.out.flush();
  });
  return 0;
}

}  // namespace

const Command kEvents = {.names = "events|system events",
                         .usage = "[OPTIONS]",
                         .summary = "Show events of the engine",
                         .options = kRows,
                         .maximum = 0,
                         .run = run_events};

}  // namespace bryo::cli

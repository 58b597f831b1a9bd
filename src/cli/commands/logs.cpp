#include <array>

#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"
#include "cli/terminal/demultiplexer.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {
    {"details", 0, &kFlag, "", "Show the attributes that the log driver keeps"},
    {"follow", 'f', &kFlag, "", "Go on with what is still to come"},
    {"since", 0, &kText, "", "Only from this time on (2013-01-02T13:23:37Z, or 42m for 42 minutes ago)"},
    {"tail", 'n', &kText, "", "So many lines from the end", "\"all\""},
    {"timestamps", 't', &kFlag, "", "Show when each line was written"},
    {"until", 0, &kText, "", "Only up to this time"},
};

std::string logs_query(const Arguments& arguments) {
  Query query;
  query.add("stdout", "1").add("stderr", "1");
  for (const char* bound : {"since", "until"})
    if (const std::string text = arguments.text(bound); !text.empty()) query.add(bound, api_timestamp(bound, text));
  return query.add_if(arguments.flag("timestamps"), "timestamps", "1")
      .add_if(arguments.flag("details"), "details", "1")
      .add_if(arguments.flag("follow"), "follow", "1")
      .add("tail", arguments.text("tail", "all"))
      .str();
}

int run_logs(Context& context, const Arguments& arguments) {
  const std::string& name = arguments.words()[0];
  const std::string query = logs_query(arguments);
  const json::Value container = context.client().get(container_path(name, "/json")).json();
  Answer answer = context.client().get(container_path(text_at(container, "Id"), "/logs") + query);
  const bool terminal = flag_at(container, "Config.Tty");
  Demultiplexer demultiplexer;
  std::array<char, 64 << 10> block;
  std::string out;
  std::string err;
  while (const std::size_t got = answer.read(block)) {
    if (terminal) {
      write_fully(context.out.fd(), {block.data(), got});
      continue;
    }
    demultiplexer.feed({block.data(), got}, out, err);
    write_fully(context.out.fd(), out);
    write_fully(context.err.fd(), err);
    out.clear();
    err.clear();
  }
  return 0;
}

}  // namespace

const Command kLogs = {.names = "logs|container logs",
                       .usage = "[OPTIONS] CONTAINER",
                       .summary = "Show what a container has written",
                       .options = kRows,
                       .minimum = 1,
                       .maximum = 1,
                       .run = run_logs};

}  // namespace bryo::cli

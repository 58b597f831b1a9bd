#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <list>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/usage.hpp"
#include "cli/commands/values.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {
    {"all", 'a', &kFlag, "", "Show stopped containers too"},
    {"format", 0, &kText, "", "table, json, or a Go template"},
    {"no-stream", 0, &kFlag, "", "Show one sample and leave"},
    {"no-trunc", 0, &kFlag, "", "Show ids whole"},
};

constexpr auto kRefresh = std::chrono::milliseconds(500);
constexpr auto kNewContainers = std::chrono::seconds(2);

// One container's stream of samples.
struct Feed {
  Feed(const std::string& name, Answer stream) : answer(std::move(stream)) { usage.container = name; }
  Usage usage;
  Answer answer;
  JsonStream samples;
  bool open = true;
};

class StatsDisplay {
 public:
  StatsDisplay(Context& context, const Arguments& arguments)
      : context_(context), arguments_(arguments), names_(arguments.words()), format_(arguments.text("format")) {
    if (format_.empty()) format_ = context.config().text("statsFormat");
  }

  int run() {
    refresh_containers();
    if (arguments_.flag("no-stream")) return once();
    auto next_look = std::chrono::steady_clock::now() + kNewContainers;
    while (true) {
      wait();
      if (names_.empty() && std::chrono::steady_clock::now() >= next_look) {
        refresh_containers();
        next_look = std::chrono::steady_clock::now() + kNewContainers;
      }
      std::erase_if(feeds_, [](const Feed& feed) { return !feed.open; });
      if (feeds_.empty() && !names_.empty()) return 0;
      show(true);
    }
  }

 private:
  void refresh_containers() {
    for (const std::string& name : wanted()) {
      const bool known =
          std::any_of(feeds_.begin(), feeds_.end(), [&](const Feed& feed) { return feed.usage.container == name; });
      if (!known) open(name);
    }
  }

  std::vector<std::string> wanted() {
    if (!names_.empty()) return names_;
    const json::Value list =
        context_.client().get("/containers/json" + Query().add_if(arguments_.flag("all"), "all", "1").str()).json();
    std::vector<std::string> ids;
    for (const json::Value& container : array_at(list, "")) ids.push_back(short_id(text_at(container, "Id")));
    return ids;
  }

  void open(const std::string& name) {
    const bool stream = !arguments_.flag("no-stream");
    try {
      const std::string query = Query().add("stream", stream ? "1" : "0").str();
      feeds_.emplace_back(name, context_.client().get(container_path(name, "/stats") + query));
    } catch (const Error&) {
      // Of the list, some may be gone by now; a name that the user gave must exist.
      if (!names_.empty()) throw;
    }
  }

  void take(Feed& feed) {
    std::array<char, 16 << 10> block;
    const std::size_t got = feed.answer.read(block);
    if (got == 0) {
      feed.open = false;
      return;
    }
    feed.samples.feed({block.data(), got});
    while (const auto sample = feed.samples.next()) {
      const std::string name = feed.usage.container;
      feed.usage = usage_of(*sample);
      feed.usage.container = name;
    }
  }

  int once() {
    for (Feed& feed : feeds_)
      while (feed.open && !feed.usage.valid) take(feed);
    show(false);
    return 0;
  }

  // Reads what comes until it is time to draw again.
  void wait() {
    const auto until = std::chrono::steady_clock::now() + kRefresh;
    while (true) {
      std::vector<pollfd> entries;
      for (const Feed& feed : feeds_) entries.push_back({feed.open ? feed.answer.connection().fd() : -1, POLLIN, 0});
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
      if (left <= 0) return;
      if (::poll(entries.data(), entries.size(), static_cast<int>(left)) < 0 && errno != EINTR)
        fail_errno("wait for statistics");
      auto entry = entries.begin();
      for (Feed& feed : feeds_)
        if ((entry++)->revents != 0) take(feed);
    }
  }

  void show(bool redraw) {
    std::vector<Row> rows;
    for (const Feed& feed : feeds_) rows.push_back(usage_row(feed.usage, !arguments_.flag("no-trunc")));
    std::string text = format_list(kUsageStyle, format_, false, rows);
    if (redraw) {
      // Home, each line cleared to its end, and the rest of the screen cleared.
      std::string drawn = "\x1b[H";
      for (const std::string_view line : split(text, '\n')) drawn.append(line).append("\x1b[K\n");
      text = drawn + "\x1b[J";
    }
    context_.out.write(text);
    context_.out.flush();
  }

  Context& context_;
  const Arguments& arguments_;
  std::vector<std::string> names_;
  std::string format_;
  std::list<Feed> feeds_;
};

int run_stats(Context& context, const Arguments& arguments) { return StatsDisplay(context, arguments).run(); }

}  // namespace

const Command kStats = {.names = "stats|container stats",
                        .usage = "[OPTIONS] [CONTAINER...]",
                        .summary = "Show what containers use, as it changes",
                        .options = kRows,
                        .run = run_stats};

}  // namespace bryo::cli

#include <fmt/format.h>

#include <array>
#include <ctime>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/time.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/escape.hpp"
#include "cli/format/json_text.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {{"format", 'f', &kText, "", "json, or a Go template"}};

json::Object client_part(int spoken) {
  json::Object out{{"Version", BRYO_VERSION},
                   {"ApiVersion", fmt::format("1.{}", spoken)},
                   {"DefaultAPIVersion", fmt::format("1.{}", kNewestMinor)},
                   {"GitCommit", ""},
                   {"GoVersion", ""},
                   {"Os", "linux"},
                   {"Arch", "amd64"},
                   {"BuildTime", ""},
                   {"Context", "default"}};
#if defined(__aarch64__)
  out["Arch"] = "arm64";
#endif
  return out;
}

// "  Version:      1.0" with the values under each other.
std::string lines(const std::vector<std::pair<std::string, std::string>>& fields, std::size_t indent,
                  std::size_t width) {
  std::string out;
  for (const auto& [name, value] : fields)
    out += fmt::format("{}{:<{}}{}\n", std::string(indent, ' '), name + ":", width, terminal_safe(value));
  return out;
}

// "2026-05-07T21:09:36Z" → "Thu May  7 21:09:36 2026"
std::string build_time(const std::string& text) {
  const std::int64_t seconds = unix_time(text);
  if (seconds == 0) return text;
  const auto stamp = static_cast<std::time_t>(seconds);
  std::tm tm{};
  ::gmtime_r(&stamp, &tm);
  std::array<char, 64> out{};
  const std::size_t size = std::strftime(out.data(), out.size(), "%a %b %e %H:%M:%S %Y", &tm);
  return std::string(out.data(), size);
}

std::string api_text(const json::Value& client) {
  const std::string spoken = text_at(client, "ApiVersion");
  const std::string newest = text_at(client, "DefaultAPIVersion");
  return spoken == newest ? spoken : fmt::format("{} (downgraded from {})", spoken, newest);
}

std::string client_text(const json::Value& client) {
  return "Client:\n" + lines({{"Version", text_at(client, "Version")},
                              {"API version", api_text(client)},
                              {"OS/Arch", text_at(client, "Os") + "/" + text_at(client, "Arch")},
                              {"Context", text_at(client, "Context")}},
                             1, 19);
}

std::string component_text(const json::Value& component) {
  const auto detail = [&](const char* name) { return text_at(component, std::string("Details.") + name); };
  const std::string name = text_at(component, "Name");
  std::vector<std::pair<std::string, std::string>> fields = {{"Version", text_at(component, "Version")}};
  if (name == "Engine") {
    fields.insert(
        fields.end(),
        {{"API version", fmt::format("{} (minimum version {})", detail("ApiVersion"), detail("MinAPIVersion"))},
         {"Go version", detail("GoVersion")},
         {"Git commit", detail("GitCommit")},
         {"Built", detail("BuildTime")},
         {"OS/Arch", detail("Os") + "/" + detail("Arch")},
         {"Experimental", detail("Experimental")}});
  } else {
    for (const auto& item : object_at(component, "Details"))
      fields.emplace_back(std::string(item.key().data(), item.key().size()),
                          item.value().is_string() ? item.value().get_string().c_str() : "");
  }
  return fmt::format(" {}:\n", terminal_safe(name)) + lines(fields, 2, 18);
}

std::string server_text(const json::Value& server) {
  const std::string platform = text_at(server, "Platform.Name");
  std::string out = "\nServer:" + (platform.empty() ? "" : " " + terminal_safe(platform)) + "\n";
  const json::Array& components = array_at(server, "Components");
  for (const json::Value& component : components) out += component_text(component);
  return out;
}

json::Value engine_component(const json::Value& server) {
  // Daemons before API 1.35 have no components: the answer itself describes the engine.
  json::Object details;
  for (const auto& item : server.as_object()) details[item.key()] = item.value();
  return json::Object{{"Name", "Engine"}, {"Version", text_at(server, "Version")}, {"Details", std::move(details)}};
}

void reformat_time(json::Object& object) {
  if (json::Value* time = object.if_contains("BuildTime"); time != nullptr && time->is_string())
    *time = build_time(time->get_string().c_str());
}

// Build times as people write dates, everywhere.
void reformat_times(json::Value& server) {
  if (!server.is_object()) return;
  reformat_time(server.get_object());
  json::Value* components = server.get_object().if_contains("Components");
  if (components == nullptr || !components->is_array()) return;
  for (json::Value& component : components->get_array())
    if (json::Value* details = component.is_object() ? component.get_object().if_contains("Details") : nullptr;
        details != nullptr && details->is_object())
      reformat_time(details->get_object());
}

int run_version(Context& context, const Arguments& arguments) {
  json::Value server;
  std::optional<Error> problem;
  int spoken = kNewestMinor;
  try {
    spoken = context.client().minor();
    server = context.client().get("/version").json();
    reformat_times(server);
    if (server.is_object() && !server.get_object().contains("Components"))
      server.get_object()["Components"] = json::Array{engine_component(server)};
  } catch (const Error& error) {
    problem = error;
  }
  const std::string format = arguments.text("format");
  json::Object both{{"Client", client_part(spoken)}, {"Server", server}};
  if (format == "json") {
    context.out.print("{}\n", compact_json(both));
  } else if (!format.empty()) {
    context.out.print("{}\n", render_named(both, format, "version", "system.clientVersion"));
  } else {
    context.out.write(client_text(both.at("Client")));
    if (server.is_object()) context.out.write(server_text(server));
  }
  if (problem) throw *problem;
  return 0;
}

}  // namespace

const Command kVersion = {.names = "version",
                          .usage = "[OPTIONS]",
                          .summary = "Show the versions of client and engine",
                          .options = kRows,
                          .maximum = 0,
                          .run = run_version};

}  // namespace bryo::cli

// inspect, and its forms below container, image, network and volume.
#include <fmt/format.h>

#include <array>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/inspect.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/json_text.hpp"

namespace bryo::cli {
namespace {

constexpr Option kFormatRows[] = {{"format", 'f', &kText, "", "json, or a Go template"}};
constexpr Option kSizeRows[] = {{"size", 's', &kFlag, "", "Show a container's sizes"}};
constexpr Option kTypeRows[] = {{"size", 's', &kFlag, "", "Show a container's sizes"},
                                {"type", 0, &kText, "", "Look only among objects of this type"}};
constexpr Option kVerboseRows[] = {{"verbose", 'v', &kFlag, "", "Show more, for finding faults"}};

// In the order in which names are tried.
constexpr std::array<std::string_view, 4> kTypes = {"container", "image", "network", "volume"};

std::string target_of(std::string_view type, const std::string& name, const Arguments& arguments) {
  if (type == "container")
    return container_path(name, "/json") + Query().add_if(arguments.flag("size"), "size", "1").str();
  if (type == "image") return image_path(name, "/json");
  if (type == "network")
    return "/networks/" + encode_path(name) + Query().add_if(arguments.flag("verbose"), "verbose", "true").str();
  return "/volumes/" + encode_path(name);
}

json::Value find_any(Context& context, const std::string& name, const Arguments& arguments) {
  for (const std::string_view type : kTypes) {
    try {
      return context.client().get(target_of(type, name, arguments)).json();
    } catch (const Error& error) {
      // Not one of these; a name that cannot be theirs is refused with 400.
      if (error.kind() != ErrorKind::not_found && error.kind() != ErrorKind::invalid_argument) throw;
    }
  }
  fail(ErrorKind::not_found, "Error: No such object: {}", name);
}

int run_any(Context& context, const Arguments& arguments) {
  const std::string type = arguments.text("type");
  if (type.empty() && arguments.given("type"))
    fail(ErrorKind::invalid_argument,
         "type is empty: must be one of \"container\", \"image\", \"network\", \"volume\"");
  if (!type.empty() && std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end())
    fail(ErrorKind::invalid_argument,
         "unknown type: \"{}\": must be one of \"container\", \"image\", \"network\", \"volume\"", printable(type));
  return inspect_each(context, arguments, [&](const std::string& name) {
    if (type.empty()) return find_any(context, name, arguments);
    return context.client().get(target_of(type, name, arguments)).json();
  });
}

template <int kType>
int run_typed(Context& context, const Arguments& arguments) {
  return inspect_each(context, arguments, [&](const std::string& name) {
    return context.client().get(target_of(kTypes[kType], name, arguments)).json();
  });
}

}  // namespace

int inspect_each(Context& context, const Arguments& arguments,
                 const std::function<json::Value(const std::string&)>& find) {
  const std::string format = arguments.text("format");
  json::Array found;
  std::vector<std::string> problems;
  int status = 0;
  for (const std::string& name : arguments.words()) {
    try {
      json::Value value = find(name);
      if (format.empty() || format == "json")
        found.push_back(std::move(value));
      else
        context.out.print("{}\n", render_value(value, format));
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::unavailable) throw;
      // Docker prints an empty line for what it could not render.
      if (error.message().starts_with("template parsing error") && error.exit_code() == 0) context.out.write("\n");
      problems.push_back(error.message());
      status = error.exit_code() != 0 ? error.exit_code() : 1;
      if (error.exit_code() != 0) break;
    }
  }
  if (format.empty()) context.out.print("{}\n", indented_json(found));
  if (format == "json") context.out.print("{}\n", compact_json(found));
  context.out.flush();
  if (!problems.empty()) context.err.print("{}\n", join(problems, "\n"));
  return status;
}

const Command kInspect = {.names = "inspect",
                          .usage = "[OPTIONS] NAME|ID [NAME|ID...]",
                          .summary = "Show all that is known of containers, images, networks and volumes",
                          .options = kFormatRows,
                          .minimum = 1,
                          .run = run_any,
                          .more = kTypeRows};
const Command kContainerInspect = {.names = "container inspect",
                                   .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
                                   .summary = "Show all that is known of containers",
                                   .options = kFormatRows,
                                   .minimum = 1,
                                   .run = run_typed<0>,
                                   .more = kSizeRows};
const Command kImageInspect = {.names = "image inspect",
                               .usage = "[OPTIONS] IMAGE [IMAGE...]",
                               .summary = "Show all that is known of images",
                               .options = kFormatRows,
                               .minimum = 1,
                               .run = run_typed<1>};
const Command kNetworkInspect = {.names = "network inspect",
                                 .usage = "[OPTIONS] NETWORK [NETWORK...]",
                                 .summary = "Show all that is known of networks",
                                 .options = kFormatRows,
                                 .minimum = 1,
                                 .run = run_typed<2>,
                                 .more = kVerboseRows};
const Command kVolumeInspect = {.names = "volume inspect",
                                .usage = "[OPTIONS] VOLUME [VOLUME...]",
                                .summary = "Show all that is known of volumes",
                                .options = kFormatRows,
                                .minimum = 1,
                                .run = run_typed<3>};

}  // namespace bryo::cli

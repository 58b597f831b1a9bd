// container prune, image prune, network prune, volume prune, system prune.
#include <fmt/format.h>

#include "base/error.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/escape.hpp"
#include "cli/format/units.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {
    {"filter", 0, &kFilter, "", "Remove only what fits (until=24h, label=k=v)"},
    {"force", 'f', &kFlag, "", "Do not ask"},
};
constexpr Option kAllRows[] = {{"all", 'a', &kFlag, "", "Remove every unused one, not only those without a name"}};
constexpr Option kSystemRows[] = {{"all", 'a', &kFlag, "", "Remove every unused image, not only those without a name"},
                                  {"volumes", 0, &kFlag, "", "Remove anonymous volumes too"}};

bool agreed(Context& context, const Arguments& arguments, std::string_view what) {
  if (arguments.flag("force")) return true;
  return confirm(context, fmt::format("WARNING! This will remove {}.\nAre you sure you want to continue?", what));
}

json::Value prune(Context& context, const char* kind, const json::Object& filters) {
  Query query;
  add_filters(query, filters);
  return context.client().post(fmt::format("/{}/prune{}", kind, query.str())).json();
}

// "Deleted X:" and the names; true when there were any.
bool list_deleted(Context& context, const char* heading, const std::vector<std::string>& names) {
  if (names.empty()) return false;
  context.out.print("{}\n", heading);
  for (const std::string& name : names) context.out.print("{}\n", terminal_safe(name));
  context.out.write("\n");
  return true;
}

void print_space(Context& context, double bytes) {
  context.out.print("Total reclaimed space: {}\n", human_size(bytes));
}

std::vector<std::string> deleted_images(const json::Value& answer) {
  std::vector<std::string> out;
  for (const json::Value& change : array_at(answer, "ImagesDeleted")) {
    const std::string untagged = text_at(change, "Untagged");
    out.push_back(untagged.empty() ? "deleted: " + text_at(change, "Deleted") : "untagged: " + untagged);
  }
  return out;
}

json::Object image_filters(const Arguments& arguments) {
  json::Object filters = arguments.filters();
  filters["dangling"] = json::Object{{arguments.flag("all") ? "false" : "true", true}};
  return filters;
}

int prune_containers(Context& context, const Arguments& arguments) {
  if (!agreed(context, arguments, "all stopped containers")) return 0;
  const json::Value answer = prune(context, "containers", arguments.filters());
  list_deleted(context, "Deleted Containers:", texts_at(answer, "ContainersDeleted"));
  print_space(context, real_at(answer, "SpaceReclaimed"));
  return 0;
}

int prune_images(Context& context, const Arguments& arguments) {
  const char* what =
      arguments.flag("all") ? "all images without at least one container associated to them" : "all dangling images";
  if (!agreed(context, arguments, what)) return 0;
  const json::Value answer = prune(context, "images", image_filters(arguments));
  list_deleted(context, "Deleted Images:", deleted_images(answer));
  print_space(context, real_at(answer, "SpaceReclaimed"));
  return 0;
}

int prune_networks(Context& context, const Arguments& arguments) {
  if (!agreed(context, arguments, "all custom networks not used by at least one container")) return 0;
  list_deleted(context,
               "Deleted Networks:", texts_at(prune(context, "networks", arguments.filters()), "NetworksDeleted"));
  return 0;
}

json::Object volume_filters(Context& context, const Arguments& arguments) {
  json::Object filters = arguments.filters();
  // API 1.42 prunes anonymous volumes only, unless told otherwise.
  if (arguments.flag("all") && context.client().minor() >= 42) filters["all"] = json::Object{{"true", true}};
  return filters;
}

int prune_volumes(Context& context, const Arguments& arguments) {
  const bool anonymous = context.client().minor() >= 42 && !arguments.flag("all");
  if (!agreed(
          context, arguments,
          fmt::format("{} volumes not used by at least one container", anonymous ? "anonymous local" : "all local")))
    return 0;
  const json::Value answer = prune(context, "volumes", volume_filters(context, arguments));
  list_deleted(context, "Deleted Volumes:", texts_at(answer, "VolumesDeleted"));
  print_space(context, real_at(answer, "SpaceReclaimed"));
  return 0;
}

std::string system_warning(const Arguments& arguments) {
  std::string out =
      "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n";
  if (arguments.flag("volumes")) out += "  - all anonymous volumes not used by at least one container\n";
  out += arguments.flag("all") ? "  - all images without at least one container associated to them\n"
                               : "  - all dangling images\n";
  return out + "\nAre you sure you want to continue?";
}

int prune_system(Context& context, const Arguments& arguments) {
  if (!arguments.flag("force") && !confirm(context, system_warning(arguments))) return 0;
  const json::Value containers = prune(context, "containers", arguments.filters());
  double space = real_at(containers, "SpaceReclaimed");
  list_deleted(context, "Deleted Containers:", texts_at(containers, "ContainersDeleted"));
  list_deleted(context,
               "Deleted Networks:", texts_at(prune(context, "networks", arguments.filters()), "NetworksDeleted"));
  if (arguments.flag("volumes")) {
    const json::Value volumes = prune(context, "volumes", arguments.filters());
    space += real_at(volumes, "SpaceReclaimed");
    list_deleted(context, "Deleted Volumes:", texts_at(volumes, "VolumesDeleted"));
  }
  const json::Value images = prune(context, "images", image_filters(arguments));
  space += real_at(images, "SpaceReclaimed");
  list_deleted(context, "Deleted Images:", deleted_images(images));
  print_space(context, space);
  return 0;
}

}  // namespace

const Command kContainerPrune = {.names = "container prune",
                                 .usage = "[OPTIONS]",
                                 .summary = "Remove all stopped containers",
                                 .options = kRows,
                                 .maximum = 0,
                                 .run = prune_containers};
const Command kImagePrune = {.names = "image prune",
                             .usage = "[OPTIONS]",
                             .summary = "Remove unused images",
                             .options = kRows,
                             .maximum = 0,
                             .run = prune_images,
                             .more = kAllRows};
const Command kNetworkPrune = {.names = "network prune",
                               .usage = "[OPTIONS]",
                               .summary = "Remove unused networks",
                               .options = kRows,
                               .maximum = 0,
                               .run = prune_networks};
const Command kVolumePrune = {.names = "volume prune",
                              .usage = "[OPTIONS]",
                              .summary = "Remove unused volumes",
                              .options = kRows,
                              .maximum = 0,
                              .run = prune_volumes,
                              .more = kAllRows};
const Command kSystemPrune = {.names = "system prune",
                              .usage = "[OPTIONS]",
                              .summary = "Remove what nothing uses",
                              .options = kRows,
                              .maximum = 0,
                              .run = prune_system,
                              .more = kSystemRows};

}  // namespace bryo::cli

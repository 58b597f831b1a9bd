// volume ls, create, rm.
#include <algorithm>

#include "base/error.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"
#include "cli/commands/volume_rows.hpp"
#include "cli/format/units.hpp"

namespace bryo::cli {
namespace {

constexpr Option kListRows[] = {
    {"filter", 'f', &kFilter, "", "Show only what fits (dangling=true, name=x …)"},
    {"format", 0, &kText, "", "table, json, or a Go template"},
    {"quiet", 'q', &kFlag, "", "Show names only"},
};
constexpr Option kCreateRows[] = {
    {"driver", 'd', &kText, "Driver", "Driver of the volume", "\"local\""},
    {"label", 0, &kLabel, "Labels", "Set a label"},
    {"name", 0, &kText, "", ""},
    {"opt", 'o', &kPairs, "DriverOpts", "Option of the driver"},
};
constexpr Option kRemoveRows[] = {{"force", 'f', &kFlag, "", "A volume that does not exist is no failure"}};

int run_list(Context& context, const Arguments& arguments) {
  Query query;
  add_filters(query, arguments.filters());
  const json::Value answer = context.client().get("/volumes" + query.str()).json();
  std::vector<json::Value> volumes(array_at(answer, "Volumes").begin(), array_at(answer, "Volumes").end());
  std::sort(volumes.begin(), volumes.end(),
            [](const json::Value& a, const json::Value& b) { return text_at(a, "Name") < text_at(b, "Name"); });
  std::vector<Row> rows;
  for (const json::Value& volume : volumes) rows.push_back(volume_row(volume));
  std::string format = arguments.text("format");
  if (format.empty() && !arguments.flag("quiet")) format = context.config().text("volumesFormat");
  context.out.write(format_list(kVolumeStyle, format, arguments.flag("quiet"), rows));
  return 0;
}

int run_create_volume(Context& context, const Arguments& arguments) {
  std::string name = arguments.text("name");
  if (!arguments.words().empty()) {
    if (!name.empty())
      fail(ErrorKind::invalid_argument,
           "conflicting options: cannot specify a volume-name through both --name and as a positional arg");
    name = arguments.words()[0];
  }
  json::Object body{{"Name", name}, {"Driver", "local"}, {"DriverOpts", json::Object()}, {"Labels", json::Object()}};
  arguments.fill(body);
  context.out.print("{}\n", text_at(context.client().post("/volumes/create", body).json(), "Name"));
  return 0;
}

int run_remove_volume(Context& context, const Arguments& arguments) {
  const Query query = Query().add_if(arguments.flag("force"), "force", "1");
  return for_each_printed(context, arguments.words(), [&](const std::string& name) {
    if (name.empty()) fail(ErrorKind::invalid_argument, "invalid volume name: value is empty");
    context.client().remove("/volumes/" + encode_path(name) + query.str());
  });
}

}  // namespace

const ListStyle kVolumeStyle = {"{{.Driver}}\t{{.Name}}",
                                "{{.Name}}",
                                {{"Name", "VOLUME NAME"},
                                 {"Driver", "DRIVER"},
                                 {"Scope", "SCOPE"},
                                 {"Mountpoint", "MOUNTPOINT"},
                                 {"Labels", "LABELS"},
                                 {"Links", "LINKS"},
                                 {"Size", "SIZE"},
                                 {"Availability", "AVAILABILITY"},
                                 {"Group", "GROUP"},
                                 {"Status", "STATUS"}},
                                "*formatter.volumeContext"};

Row volume_row(const json::Value& volume) {
  const bool used = find_at(volume, "UsageData.RefCount") != nullptr;
  Row row;
  row.fields = json::Object{{"Name", text_at(volume, "Name")},
                            {"Driver", text_at(volume, "Driver")},
                            {"Scope", text_at(volume, "Scope")},
                            {"Mountpoint", text_at(volume, "Mountpoint")},
                            {"Labels", join_labels(object_at(volume, "Labels"))},
                            {"Links", used ? std::to_string(number_at(volume, "UsageData.RefCount")) : "N/A"},
                            {"Size", used ? human_size(real_at(volume, "UsageData.Size")) : "N/A"},
                            {"Availability", "N/A"},
                            {"Group", "N/A"},
                            {"Status", "N/A"}};
  row.method = [labels = object_at(volume, "Labels")](
                   std::string_view name, std::span<const json::Value* const> arguments) -> std::optional<json::Value> {
    if (name != "Label" || arguments.size() != 1 || !arguments[0]->is_string()) return std::nullopt;
    const json::Value* found = labels.if_contains(arguments[0]->get_string());
    return found == nullptr ? json::Value("") : *found;
  };
  return row;
}

const Command kVolumeList = {.names = "volume ls|volume list",
                             .usage = "[OPTIONS]",
                             .summary = "List volumes",
                             .options = kListRows,
                             .maximum = 0,
                             .run = run_list};
const Command kVolumeCreate = {.names = "volume create",
                               .usage = "[OPTIONS] [VOLUME]",
                               .summary = "Create a volume",
                               .options = kCreateRows,
                               .maximum = 1,
                               .run = run_create_volume};
const Command kVolumeRemove = {.names = "volume rm|volume remove",
                               .usage = "[OPTIONS] VOLUME [VOLUME...]",
                               .summary = "Remove volumes that no container uses",
                               .options = kRemoveRows,
                               .minimum = 1,
                               .run = run_remove_volume};

}  // namespace bryo::cli

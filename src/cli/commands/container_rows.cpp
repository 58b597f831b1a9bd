#include "cli/commands/container_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/auth/reference.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/escape.hpp"
#include "cli/format/template_print.hpp"
#include "cli/format/units.hpp"

namespace bryo::cli {
namespace {

constexpr std::size_t kCommandWidth = 20;
constexpr std::size_t kMountWidth = 15;

struct Port {
  std::string ip;
  std::int64_t inside = 0;
  std::int64_t outside = 0;
  std::string protocol;
  auto operator<=>(const Port& other) const {
    return std::tie(inside, ip, outside, protocol) <=> std::tie(other.inside, other.ip, other.outside, other.protocol);
  }
};

std::string host_port(const std::string& ip, const std::string& port) {
  return ip.find(':') == std::string::npos ? ip + ":" + port : "[" + ip + "]:" + port;
}

// Consecutive ports of one address and protocol.
struct Group {
  std::string ip;
  std::string protocol;
  std::int64_t first = 0;
  std::int64_t last = 0;

  std::string text() const {
    std::string range = std::to_string(first);
    if (first != last) range += fmt::format("-{}", last);
    return (ip.empty() ? range : host_port(ip, range) + "->" + range) + "/" + protocol;
  }
};

std::string names_text(const json::Value& container, bool truncate) {
  std::vector<std::string> names;
  for (std::string name : texts_at(container, "Names")) {
    if (name.starts_with('/')) name.erase(0, 1);
    // "/other/alias" is the name of a link to it.
    if (!truncate || name.find('/') == std::string::npos) names.push_back(std::move(name));
  }
  return join(names, ",");
}

std::string image_text(const json::Value& container, bool truncate) {
  const std::string image = text_at(container, "Image");
  if (image.empty()) return "<no image>";
  if (!truncate) return image;
  const std::string id = short_id(text_at(container, "ImageID"));
  if (!id.empty() && id == short_id(image)) return id;
  // A name with tag and digest loses the digest.
  try {
    Reference reference = Reference::parse(image);
    if (!reference.tag.empty()) reference.digest.clear();
    return reference.familiar();
  } catch (const Error&) {
    return image;
  }
}

std::string size_text(const json::Value& container) {
  const std::string own = human_size(real_at(container, "SizeRw"), 3);
  const double whole = real_at(container, "SizeRootFs");
  return whole > 0 ? fmt::format("{} (virtual {})", own, human_size(whole, 3)) : own;
}

std::string mounts_text(const json::Value& container, bool truncate) {
  std::vector<std::string> names;
  for (const json::Value& mount : array_at(container, "Mounts")) {
    const std::string name = text_at(mount, "Name").empty() ? text_at(mount, "Source") : text_at(mount, "Name");
    names.push_back(truncate ? ellipsis(name, kMountWidth) : name);
  }
  return join(names, ",");
}

std::string local_volumes(const json::Value& container) {
  const json::Array& mounts = array_at(container, "Mounts");
  return std::to_string(std::count_if(mounts.begin(), mounts.end(),
                                      [](const json::Value& mount) { return text_at(mount, "Driver") == "local"; }));
}

std::string networks_text(const json::Value& container) {
  std::vector<std::string> names;
  for (const auto& item : object_at(container, "NetworkSettings.Networks"))
    names.emplace_back(item.key().data(), item.key().size());
  std::sort(names.begin(), names.end());
  return join(names, ",");
}

}  // namespace

const ListStyle kContainerStyle = {
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
    "{{.ID}}",
    {{"ID", "CONTAINER ID"},
     {"Names", "NAMES"},
     {"Image", "IMAGE"},
     {"Command", "COMMAND"},
     {"CreatedAt", "CREATED AT"},
     {"RunningFor", "CREATED"},
     {"Platform", "PLATFORM"},
     {"Ports", "PORTS"},
     {"State", "STATE"},
     {"Status", "STATUS"},
     {"Size", "SIZE"},
     {"Labels", "LABELS"},
     {"Mounts", "MOUNTS"},
     {"LocalVolumes", "LOCAL VOLUMES"},
     {"Networks", "NETWORKS"}},
    "*formatter.ContainerContext"};

std::string ports_text(const json::Array& list) {
  std::vector<Port> ports;
  for (const json::Value& port : list)
    ports.push_back(
        {text_at(port, "IP"), number_at(port, "PrivatePort"), number_at(port, "PublicPort"), text_at(port, "Type")});
  std::sort(ports.begin(), ports.end());
  std::vector<Group> open;  // one for each address and protocol, in order of first appearance
  std::vector<std::string> done;
  std::vector<std::string> mapped;
  for (const Port& port : ports) {
    if (!port.ip.empty() && port.outside != port.inside) {
      mapped.push_back(
          fmt::format("{}->{}/{}", host_port(port.ip, std::to_string(port.outside)), port.inside, port.protocol));
      continue;
    }
    const auto group = std::find_if(open.begin(), open.end(), [&](const Group& candidate) {
      return candidate.ip == port.ip && candidate.protocol == port.protocol;
    });
    if (group == open.end()) {
      open.push_back({port.ip, port.protocol, port.inside, port.inside});
    } else if (port.inside == group->last + 1) {
      group->last = port.inside;
    } else {
      done.push_back(group->text());
      group->first = group->last = port.inside;
    }
  }
  for (const Group& group : open) done.push_back(group.text());
  done.insert(done.end(), mapped.begin(), mapped.end());
  return join(done, ", ");
}

Row container_row(const json::Value& container, bool truncate, std::int64_t now) {
  const std::int64_t created = number_at(container, "Created");
  const std::string id = text_at(container, "Id");
  const std::string command = text_at(container, "Command");
  Row row;
  row.fields = json::Object{{"ID", truncate ? short_id(id) : id},
                            {"Names", names_text(container, truncate)},
                            {"Image", image_text(container, truncate)},
                            {"Command", tmpl::go_quote(truncate ? ellipsis(command, kCommandWidth) : command)},
                            {"CreatedAt", local_time(created)},
                            {"RunningFor", human_ago(created, now)},
                            {"Platform", nullptr},
                            {"Ports", ports_text(array_at(container, "Ports"))},
                            {"State", text_at(container, "State")},
                            {"Status", text_at(container, "Status")},
                            {"Size", size_text(container)},
                            {"Labels", join_labels(object_at(container, "Labels"))},
                            {"Mounts", mounts_text(container, truncate)},
                            {"LocalVolumes", local_volumes(container)},
                            {"Networks", networks_text(container)}};
  row.method = [labels = object_at(container, "Labels")](
                   std::string_view name, std::span<const json::Value* const> arguments) -> std::optional<json::Value> {
    if (name != "Label" || arguments.size() != 1 || !arguments[0]->is_string()) return std::nullopt;
    const json::Value* found = labels.if_contains(arguments[0]->get_string());
    return found == nullptr ? json::Value("") : *found;
  };
  return row;
}

}  // namespace bryo::cli

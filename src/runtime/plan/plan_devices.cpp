// Device nodes and the links of /dev (config-linux.md, "Default Devices").
#include <sys/mount.h>

#include <algorithm>

#include "base/strings.hpp"
#include "runtime/plan/mount_options.hpp"
#include "runtime/plan/plan_builder.hpp"

namespace bryo::runtime {
namespace {

struct DefaultDevice {
  std::string_view path;
  std::uint32_t major;
  std::uint32_t minor;
};
constexpr DefaultDevice kDefaults[] = {{"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
                                       {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0}};

const Link kLinks[] = {{"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
                       {"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"},         {"core", "/proc/kcore"}};

DeviceNode checked_node(const PlanBuilder& builder, const oci::LinuxDevice& device, const std::string& field) {
  if (device.type.size() != 1 || std::string_view("cbup").find(device.type[0]) == std::string_view::npos)
    fail(ErrorKind::invalid_argument, "{}.type: \"{}\" is none of c, b, u, p", field, printable(device.type));
  if (device.major < 0 || device.major > 4095 || device.minor < 0 || device.minor > 1048575)
    fail(ErrorKind::invalid_argument, "{}: no such device number {}:{}", field, device.major, device.minor);
  DeviceNode node;
  node.name = clean_path(device.path, field + ".path");
  node.type = device.type == "u" ? 'c' : device.type[0];
  node.major = static_cast<std::uint32_t>(device.major);
  node.minor = static_cast<std::uint32_t>(device.minor);
  node.mode = device.file_mode.value_or(0666) & 07777;
  node.uid = device.uid.value_or(0);
  node.gid = device.gid.value_or(0);
  if (host_id(builder.plan.maps.uid, node.uid) == UINT32_MAX || host_id(builder.plan.maps.gid, node.gid) == UINT32_MAX)
    fail(ErrorKind::invalid_argument, "{}: owner {}:{} is not in the container's id map", field, node.uid, node.gid);
  return node;
}

// Absolute names, container ids. The spec's own take the place of the defaults.
std::vector<DeviceNode> all_nodes(const PlanBuilder& builder) {
  std::vector<DeviceNode> nodes;
  for (const DefaultDevice& device : kDefaults)
    nodes.push_back({std::string(device.path), 'c', device.major, device.minor, 0666, 0, 0});
  for (std::size_t i = 0; i < builder.os.devices.size(); ++i) {
    DeviceNode node = checked_node(builder, builder.os.devices[i], fmt::format("linux.devices[{}]", i));
    const auto same = std::ranges::find(nodes, node.name, &DeviceNode::name);
    if (same != nodes.end())
      *same = std::move(node);
    else
      nodes.push_back(std::move(node));
  }
  // Made otherwise, by link or by mount.
  std::erase_if(nodes, [](const DeviceNode& n) { return n.name == "/dev/ptmx" || n.name == "/dev/console"; });
  return nodes;
}

const oci::Mount* mount_on_dev(const PlanBuilder& builder) {
  for (const oci::Mount& mount : builder.spec.mounts)
    if (mount_target(mount, "mounts.destination") == "/dev") return &mount;
  return nullptr;
}

bool is_bind(const oci::Mount& mount) { return mount.type == "bind" || parse_mount_options(mount.options).bind; }

// Is this node in the tree that the launcher makes for /dev?
bool in_tree(const PlanBuilder& builder, const DeviceNode& node) {
  const oci::Mount* dev = mount_on_dev(builder);
  return dev != nullptr && dev->type == "tmpfs" && !builder.facts.in_user_namespace && node.name.starts_with("/dev/");
}

// Nodes outside /dev, or for a launcher that may not make any.
void plan_single_node(PlanBuilder& builder, const DeviceNode& node) {
  if (builder.mapped() || builder.facts.in_user_namespace) {
    if (node.type == 'p') fail(ErrorKind::unsupported, "linux.devices: FIFO {} under an id map", printable(node.name));
    const DeviceSource source{node.name, node.type, node.major, node.minor};
    builder.step(AttachSource{builder.add_source(source), node.name});
  } else {
    const bool listed = std::ranges::any_of(builder.os.devices, [&](const oci::LinuxDevice& device) {
      return clean_path(device.path, "linux.devices.path") == node.name;
    });
    builder.step(MakeNode{node, listed});
  }
}

// Options of the tmpfs; its owner is written in container ids, but the launcher mounts it.
void take_owner(const PlanBuilder& builder, DeviceTreeSource& tree) {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::erase_if(tree.options, [&](const std::string& option) {
    const auto pair = split_once(option, '=');
    if (!pair || (pair->first != "uid" && pair->first != "gid")) return false;
    (pair->first == "uid" ? uid : gid) = parse_integer<std::uint32_t>(pair->second).value_or(0);
    return true;
  });
  tree.root_uid = host_id(builder.plan.maps.uid, uid);
  tree.root_gid = host_id(builder.plan.maps.gid, gid);
  if (tree.root_uid == UINT32_MAX || tree.root_gid == UINT32_MAX)
    fail(ErrorKind::invalid_argument, "mount /dev: its owner {}:{} is not in the container's id map", uid, gid);
}

// Mount points of file systems below /dev, so that the child finds them.
void add_directories(const PlanBuilder& builder, DeviceTreeSource& tree) {
  for (const oci::Mount& mount : builder.spec.mounts) {
    const std::string target = mount_target(mount, "mounts.destination");
    if (!target.starts_with("/dev/") || is_bind(mount)) continue;
    for (std::size_t cut = target.find('/', 5); cut != std::string::npos; cut = target.find('/', cut + 1))
      tree.directories.push_back(target.substr(5, cut - 5));
    tree.directories.push_back(target.substr(5));
  }
}

}  // namespace

DeviceTreeSource device_tree(const PlanBuilder& builder, const oci::Mount& mount) {
  DeviceTreeSource tree;
  const MountOptions options = parse_mount_options(mount.options);
  tree.options = options.data;
  if (!builder.os.mount_label.empty()) tree.options.push_back("context=" + builder.os.mount_label);
  // Read-only comes when everything is in it.
  tree.attributes = options.all_attributes() & ~std::uint64_t{MOUNT_ATTR_RDONLY};
  take_owner(builder, tree);
  add_directories(builder, tree);
  for (const DeviceNode& node : all_nodes(builder)) {
    if (!in_tree(builder, node)) continue;
    DeviceNode own = node;
    own.name = node.name.substr(5);
    own.uid = host_id(builder.plan.maps.uid, node.uid);
    own.gid = host_id(builder.plan.maps.gid, node.gid);
    tree.nodes.push_back(std::move(own));
  }
  for (const Link& link : kLinks) tree.links.push_back(link);
  return tree;
}

void plan_devices(PlanBuilder& builder) {
  const oci::Mount* dev = mount_on_dev(builder);
  // Somebody's own /dev is left as it is.
  if (dev != nullptr && is_bind(*dev)) return;
  for (const DeviceNode& node : all_nodes(builder))
    if (!in_tree(builder, node)) plan_single_node(builder, node);
  if (dev != nullptr && dev->type == "tmpfs") return;
  for (const Link& link : kLinks) builder.step(MakeLink{{"/dev/" + link.name, link.target}});
}

}  // namespace bryo::runtime

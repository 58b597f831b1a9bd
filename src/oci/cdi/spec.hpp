// One CDI specification (cncf-tags/container-device-interface, SPEC.md 1.1.0) as plain structs.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bryo::oci::cdi {

struct DeviceNode {
  std::string path;       // in the container
  std::string host_path;  // empty: the same
  std::string type;       // b, c, u, p; empty: what it is on the host
  std::int64_t major = 0;
  std::int64_t minor = 0;
  std::optional<std::uint32_t> file_mode;
  std::string permissions;  // of r, w, m; empty: all of them; "none"
  std::optional<std::uint32_t> uid;
  std::optional<std::uint32_t> gid;
};

struct Mount {
  std::string host_path;
  std::string container_path;
  std::string type;
  std::vector<std::string> options;
};

struct Hook {
  std::string name;  // createContainer …
  std::string path;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::optional<int> timeout;  // seconds
};

struct NetDevice {
  std::string host_name;
  std::string name;
};

struct IntelRdt {
  std::string clos_id;
  std::string l3_cache_schema;
  std::string mem_bw_schema;
  std::optional<std::vector<std::string>> schemata;
  bool enable_monitoring = false;
  bool enable_cmt = false;  // until 1.0
  bool enable_mbm = false;
};

struct ContainerEdits {
  std::vector<std::string> env;
  std::vector<DeviceNode> device_nodes;
  std::vector<NetDevice> net_devices;
  std::vector<Hook> hooks;
  std::vector<Mount> mounts;
  std::optional<IntelRdt> intel_rdt;
  std::vector<std::uint32_t> additional_gids;

  bool empty() const;
  void append(const ContainerEdits& other);
};

struct Device {
  std::string name;
  std::map<std::string, std::string> annotations;
  ContainerEdits edits;
};

struct Spec {
  std::string version;
  std::string kind;  // vendor.com/class
  std::map<std::string, std::string> annotations;
  std::vector<Device> devices;
  ContainerEdits edits;  // for whoever gets one of the devices
};

enum class Format { json, yaml };

// Read and checked. Error{invalid_argument} names the field: unknown ones too, and those that are younger than the
// version the file claims.
Spec parse_spec(std::string_view text, Format format);

// "vendor.com/class=name"?
bool is_qualified_name(std::string_view text);

}  // namespace bryo::oci::cdi

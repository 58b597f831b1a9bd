// What will be done, exactly, to start this container? A LaunchPlan is the whole answer, as a plain value: made by
// make_plan (make_plan.hpp: a pure function of the OCI spec, the facts of the host and where the root file system comes
// from), printed by to_text, carried to the monitor by serialize, and executed by Container (container.hpp).
//
//   spec ──make_plan──▶ LaunchPlan ──serialize──▶ monitor ──▶ Container::begin     sources prepared with the host's
//                            │                                  wait_created       rights, steps executed by the
//                         to_text                               start              child in its own namespaces
//
// Sources are what needs rights on the host: detached mounts that the launcher makes by descriptor. Steps are what the
// child does in order, in its own namespaces, before the gate. Both name each other by index only. All targets are
// paths inside the container and are resolved inside its root, by descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/process_plan.hpp"

namespace bryo::runtime {

// The two texts of /proc/PID/uid_map and gid_map ("0 165536 65536\n"); both empty = no map.
struct MapTexts {
  std::string uid;
  std::string gid;
  bool empty() const { return uid.empty() && gid.empty(); }
  bool operator==(const MapTexts&) const = default;
};

// Where the container's root file system comes from: filled in by storage, through the engine (or by bryo-oci from
// root.path of the bundle). Paths are the engine's own.
struct RootfsSource {
  enum class Kind : std::uint8_t {
    directory,           // `path` as it is
    idmapped_directory,  // `path` shown through the container's map (vfs driver: a private copy with the image's ids)
    overlay,             // layers below a private upper directory
    mounted,             // `descriptor` is a detached mount (fuse-overlayfs), which becomes the container's own
  };
  Kind kind = Kind::directory;
  std::string path;              // directory, idmapped_directory; mounted: what errors call it
  std::int32_t descriptor = -1;  // mounted: index into the descriptors handed to Container::begin

  // overlay. With lower_parent given, `lower` are names below it, and one clone of it serves all of them.
  std::vector<std::string> lower;  // top first
  std::string lower_parent;
  std::string upper;  // must belong to the container's root (host ids) when the container is mapped
  std::string work;
  // Show lower_parent through the container's map. Needs lower_parent.
  bool lower_idmap = false;
  // "volatile", "metacopy=off", "userxattr", …
  std::vector<std::string> options;

  bool operator==(const RootfsSource&) const = default;
};

// --- namespaces -----------------------------------------------------------------------------------------------------

enum class Namespace : std::uint8_t { user, mount, pid, network, ipc, uts, cgroup, time };
inline constexpr std::size_t kNamespaces = 8;
std::string_view to_string(Namespace kind);

// One entry for every namespace that is not the launcher's own.
struct NamespacePlan {
  Namespace kind = Namespace::mount;
  // Join this one (/proc/PID/ns/net, /run/netns/x); both unset = make a new one.
  std::string path;
  std::int32_t descriptor = -1;  // index into the descriptors handed to Container::begin
  bool joins() const { return !path.empty() || descriptor >= 0; }
  bool operator==(const NamespacePlan&) const = default;
};

// --- sources: prepared by the launcher with the host's rights -------------------------------------------------------

// Mount attributes are MOUNT_ATTR_*, propagation is MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE or 0 = unchanged.
struct MountAttributes {
  std::uint64_t set = 0;
  std::uint64_t clear = 0;
  std::uint64_t set_recursive = 0;
  std::uint64_t clear_recursive = 0;
  std::uint64_t propagation = 0;
  bool propagation_recursive = false;
  bool operator==(const MountAttributes&) const = default;
};

enum class IdMapping : std::uint8_t { none, container, own };

// A detached clone of something on the host.
struct BindSource {
  std::string path;              // absolute; below `root` when that is given: links cannot leave it
  std::string root;              // a volume, for a subpath in it (CVE-2017-1002101)
  std::int32_t descriptor = -1;  // or: index into the descriptors handed to Container::begin
  bool recursive = false;
  IdMapping idmap = IdMapping::none;
  bool idmap_recursive = false;
  MapTexts maps;  // for IdMapping::own
  MountAttributes attributes;
  bool operator==(const BindSource&) const = default;
};

struct DeviceNode {
  std::string name;  // relative to /dev: "null", "snd/timer"
  char type = 'c';   // c, b, p
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t mode = 0666;  // permission bits
  std::uint32_t uid = 0;      // host ids
  std::uint32_t gid = 0;
  bool operator==(const DeviceNode&) const = default;
};

struct Link {
  std::string name;
  std::string target;
  bool operator==(const Link&) const = default;
};

// A tmpfs for /dev, populated before anybody else can see it (CVE-2026-41579). Made in the launcher's user namespace,
// so its nodes work in a mapped container too.
struct DeviceTreeSource {
  std::vector<std::string> options;  // of tmpfs: "mode=755", "size=65536k"
  std::uint64_t attributes = 0;
  std::uint32_t root_uid = 0;  // host ids of the container's root
  std::uint32_t root_gid = 0;
  std::vector<std::string> directories;  // "pts", "shm", "mqueue"
  std::vector<DeviceNode> nodes;
  std::vector<Link> links;
  bool operator==(const DeviceTreeSource&) const = default;
};

// A device node of the host, checked by type and number after it was opened (D2): for launchers that may not mknod.
struct DeviceSource {
  std::string path;
  char type = 'c';
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  bool operator==(const DeviceSource&) const = default;
};

using Source = std::variant<BindSource, DeviceTreeSource, DeviceSource>;

// --- steps: executed by the child ------------------------------------------------------------------------------------

// The root file system is attached (still below the host's tree: proc and sysfs want to see the host's own).
struct AttachRoot {
  bool operator==(const AttachRoot&) const = default;
};
// It becomes the child's "/", and nothing of the host's tree stays.
struct EnterRoot {
  std::uint64_t propagation = 0;  // of the new root; 0 = private
  bool recursive = false;         // and of everything mounted in it
  bool operator==(const EnterRoot&) const = default;
};
// move_mount of a prepared source. A missing mount point is made, of the source's type.
struct AttachSource {
  std::uint32_t source = 0;
  std::string target;
  bool plain_target = false;   // no link on the way to it (CVE-2026-41579)
  bool allow_in_proc = false;  // may lie on a procfs: one of the files that LXCFS replaces
  // As if it were made by this step: listed behind the mounts before it, where the kernel lists by age (6.8 and newer).
  bool in_order = false;
  bool operator==(const AttachSource&) const = default;
};
struct MountFilesystem {
  std::string type;                  // proc, sysfs, tmpfs, devpts, mqueue, cgroup, cgroup2
  std::string source;                // what /proc/mounts shows
  std::vector<std::string> options;  // "key" or "key=value"
  std::uint64_t attributes = 0;      // MOUNT_ATTR_*
  std::uint64_t propagation = 0;
  std::string target;
  bool plain_target = false;  // no link on the way to it (CVE-2019-19921)
  bool optional = false;      // a failure is a warning
  bool copy_up = false;       // tmpfs: begins with what the target holds ("tmpcopyup")
  bool operator==(const MountFilesystem&) const = default;
};
// Attributes of a mount point that is in place already ("remount").
struct ChangeMount {
  std::string target;
  MountAttributes attributes;
  bool operator==(const ChangeMount&) const = default;
};
// /dev/null over a file, an empty read-only tmpfs over a directory; what is not there needs no mask.
struct MaskPath {
  std::string target;
  bool operator==(const MaskPath&) const = default;
};
struct ReadOnlyPath {
  std::string target;
  bool operator==(const ReadOnlyPath&) const = default;
};
struct MakeLink {
  Link link;  // name is a path in the container; an existing one stays
  bool operator==(const MakeLink&) const = default;
};
struct MakeNode {
  DeviceNode node;      // name is a path in the container; ids are the container's
  bool listed = false;  // by linux.devices: another file in its place is an error, and else somebody's choice
  bool operator==(const MakeNode&) const = default;
};
struct SetSysctl {
  std::string path;  // below /proc/sys: "net/ipv4/ip_forward"
  std::string value;
  bool operator==(const SetSysctl&) const = default;
};
struct SetHostname {
  std::string name;
  bool operator==(const SetHostname&) const = default;
};
struct SetDomainname {
  std::string name;
  bool operator==(const SetDomainname&) const = default;
};
struct SetTimeOffset {
  std::string clock;  // "monotonic", "boottime"
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
  bool operator==(const SetTimeOffset&) const = default;
};
// lo up: a new network namespace without a network still has its loopback.
struct RaiseLoopback {
  bool operator==(const RaiseLoopback&) const = default;
};
struct RootReadOnly {
  bool operator==(const RootReadOnly&) const = default;
};
// The terminal of ProcessPlan::terminal: opened in the devpts that is mounted now, bound to /dev/console.
struct OpenTerminal {
  bool operator==(const OpenTerminal&) const = default;
};

using Step = std::variant<AttachRoot, EnterRoot, AttachSource, MountFilesystem, ChangeMount, MaskPath, ReadOnlyPath,
                          MakeLink, MakeNode, SetSysctl, SetHostname, SetDomainname, SetTimeOffset, RaiseLoopback,
                          RootReadOnly, OpenTerminal>;

// Intel's class of service that the container's first process enters (kernel/resctrl.hpp).
struct ResctrlPlan {
  std::string path;
  bool may_make = false;
  std::vector<std::string> schemata;
  std::string monitor;
  bool operator==(const ResctrlPlan&) const = default;
};

struct LaunchPlan {
  std::vector<NamespacePlan> namespaces;
  // Of the container's user namespace. Given exactly when there is one, made or joined.
  MapTexts maps;
  RootfsSource rootfs;
  std::vector<Source> sources;
  std::vector<Step> steps;
  ProcessPlan process;
  std::optional<ResctrlPlan> resctrl;
  // What make_plan had to leave out or change; the launcher reports them with its own.
  std::vector<std::string> warnings;

  const NamespacePlan* find(Namespace kind) const;
  bool creates(Namespace kind) const;
  bool operator==(const LaunchPlan&) const = default;
};

// One more process in a container that runs: it joins these namespaces of the container's init.
struct ExecPlan {
  std::vector<Namespace> namespaces;
  MapTexts maps;  // of the container's user namespace
  ProcessPlan process;
  bool operator==(const ExecPlan&) const = default;
};

// One line a step, for `bryo-oci plan` and golden tests.
std::string to_text(const LaunchPlan& plan);
std::string to_text(const ExecPlan& plan);

// Versioned, every length checked; deserialize throws Error{invalid_argument} for anything that serialize cannot have
// written (CVE-2021-43784).
std::vector<std::byte> serialize(const LaunchPlan& plan);
std::vector<std::byte> serialize(const ExecPlan& plan);
LaunchPlan deserialize_launch_plan(std::span<const std::byte> bytes);
ExecPlan deserialize_exec_plan(std::span<const std::byte> bytes);

}  // namespace bryo::runtime

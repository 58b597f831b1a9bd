// What `bryo-oci plan` prints: one line for everything that will happen, in its order.
#include <linux/magic.h>
#include <sys/mount.h>

#include "base/strings.hpp"
#include "kernel/capabilities.hpp"
#include "kernel/rlimits.hpp"
#include "runtime/launch_plan.hpp"

#include <fmt/format.h>

namespace bryo::runtime {
namespace {

std::string attributes_text(std::uint64_t bits, std::string_view prefix) {
  constexpr std::pair<std::uint64_t, std::string_view> kNames[] = {
      {MOUNT_ATTR_RDONLY, "ro"},       {MOUNT_ATTR_NOSUID, "nosuid"},          {MOUNT_ATTR_NODEV, "nodev"},
      {MOUNT_ATTR_NOEXEC, "noexec"},   {MOUNT_ATTR_NODIRATIME, "nodiratime"},  {0x00200000, "nosymfollow"},
      {MOUNT_ATTR_NOATIME, "noatime"}, {MOUNT_ATTR_STRICTATIME, "strictatime"}};
  std::string out;
  for (const auto& [bit, name] : kNames)
    if ((bits & bit) != 0) out += fmt::format(" {}{}", prefix, name);
  return out;
}

std::string propagation_text(std::uint64_t propagation, bool recursive) {
  const std::string_view r = recursive ? "r" : "";
  switch (propagation) {
    case MS_SHARED:
      return fmt::format(" {}shared", r);
    case MS_SLAVE:
      return fmt::format(" {}slave", r);
    case MS_PRIVATE:
      return fmt::format(" {}private", r);
    case MS_UNBINDABLE:
      return fmt::format(" {}unbindable", r);
    default:
      return "";
  }
}

std::string text(const MountAttributes& a) {
  return attributes_text(a.set, "") + attributes_text(a.clear, "-") + attributes_text(a.set_recursive, "r:") +
         attributes_text(a.clear_recursive, "r:-") + propagation_text(a.propagation, a.propagation_recursive);
}

std::string one_line(const std::string& map) {
  std::string out;
  for (const std::string_view line : split(map, '\n'))
    if (!line.empty()) out += fmt::format("{}{}", out.empty() ? "" : ", ", line);
  return out;
}

std::string options_text(const std::vector<std::string>& options) {
  return options.empty() ? "" : fmt::format(" ({})", join(options, ","));
}

// --- sources ---

std::string text(const BindSource& s) {
  std::string out = s.descriptor >= 0 ? fmt::format("clone descriptor {}", s.descriptor)
                                      : fmt::format("clone {}{}{}", s.root, s.root.empty() ? "" : " // ", s.path);
  if (s.recursive) out += " recursively";
  if (s.idmap == IdMapping::container) out += " idmap=container";
  if (s.idmap == IdMapping::own) out += fmt::format(" idmap=[{}]/[{}]", one_line(s.maps.uid), one_line(s.maps.gid));
  return out + text(s.attributes);
}

std::string text(const DeviceNode& n) {
  return fmt::format("{} {} {}:{} {:04o} {}:{}", n.name, n.type, n.major, n.minor, n.mode, n.uid, n.gid);
}

std::string text(const DeviceTreeSource& s) {
  std::string out = fmt::format("tmpfs for devices{} owner={}:{}{}", options_text(s.options), s.root_uid, s.root_gid,
                                attributes_text(s.attributes, ""));
  for (const std::string& directory : s.directories) out += fmt::format("\n      directory {}", directory);
  for (const DeviceNode& node : s.nodes) out += "\n      node " + text(node);
  for (const Link& link : s.links) out += fmt::format("\n      link {} -> {}", link.name, link.target);
  return out;
}

std::string text(const DeviceSource& s) {
  return fmt::format("clone device {} {} {}:{}", s.path, s.type, s.major, s.minor);
}

// --- steps ---

std::string text(const AttachRoot&) { return "attach the root file system"; }
std::string text(const EnterRoot& s) { return "pivot_root" + propagation_text(s.propagation, s.recursive); }
std::string text(const AttachSource& s) {
  return fmt::format("attach source {} on {}{}{}{}", s.source, s.target, s.plain_target ? " (no links)" : "",
                     s.allow_in_proc ? " (in proc)" : "", s.in_order ? " (in order)" : "");
}
std::string text(const MountFilesystem& s) {
  return fmt::format("mount {} on {}{}{}{}{}{}", s.type, s.target, options_text(s.options),
                     attributes_text(s.attributes, ""), propagation_text(s.propagation, false),
                     s.plain_target ? " (no links)" : "", s.optional ? " (optional)" : "") +
         (s.copy_up ? " (copy up)" : "");
}
std::string text(const ChangeMount& s) { return fmt::format("change {}{}", s.target, text(s.attributes)); }
std::string text(const MaskPath& s) { return "mask " + s.target; }
std::string text(const ReadOnlyPath& s) { return "read-only " + s.target; }
std::string text(const MakeLink& s) { return fmt::format("link {} -> {}", s.link.name, s.link.target); }
std::string text(const MakeNode& s) { return "node " + text(s.node); }
std::string text(const SetSysctl& s) { return fmt::format("sysctl {} = {}", s.path, s.value); }
std::string text(const SetHostname& s) { return "hostname " + s.name; }
std::string text(const SetDomainname& s) { return "domainname " + s.name; }
std::string text(const SetTimeOffset& s) {
  return fmt::format("time offset {} {} {}", s.clock, s.seconds, s.nanoseconds);
}
std::string text(const RaiseLoopback&) { return "lo up"; }
std::string text(const RootReadOnly&) { return "root file system read-only"; }
std::string text(const OpenTerminal&) { return "terminal from devpts, bound on /dev/console"; }

std::string text(const RootfsSource& r) {
  switch (r.kind) {
    case RootfsSource::Kind::directory:
      return "directory " + r.path;
    case RootfsSource::Kind::idmapped_directory:
      return fmt::format("directory {} idmap=container", r.path);
    case RootfsSource::Kind::mounted:
      return "mounted " + r.path;
    case RootfsSource::Kind::overlay:
      break;
  }
  std::string out = fmt::format("overlay{}", options_text(r.options));
  if (!r.lower_parent.empty())
    out += fmt::format("\n    lower parent {}{}", r.lower_parent, r.lower_idmap ? " idmap=container" : "");
  for (const std::string& lower : r.lower) out += "\n    lower " + lower;
  if (!r.upper.empty()) out += fmt::format("\n    upper {}\n    work {}", r.upper, r.work);
  return out;
}

std::string capability_names(std::uint64_t set) {
  std::string out;
  for (unsigned i = 0; i < 64; ++i)
    if ((set >> i & 1) != 0) out += " " + kernel::capability_name(i);
  return out.empty() ? " none" : out;
}

std::string cpus_text(const CpuSet& cpus) {
  std::string out;
  for (std::size_t i = 0; i < cpus.size() * 64; ++i)
    if ((cpus[i / 64] >> (i % 64) & 1) != 0) out += fmt::format("{}{}", out.empty() ? "" : ",", i);
  return out;
}

std::string limit_text(std::uint64_t value) { return value == UINT64_MAX ? "unlimited" : std::to_string(value); }

void add_process(const ProcessPlan& p, std::string& out) {
  const auto line = [&out](std::string_view what, const auto& value) { out += fmt::format("  {} {}\n", what, value); };
  if (!p.session_keyring.empty()) line("session keyring", p.session_keyring);
  if (p.scheduling) line("scheduler", fmt::format("policy {} nice {}", p.scheduling->policy, p.scheduling->nice));
  if (p.io_priority) line("io priority", *p.io_priority);
  if (p.personality) line("personality", *p.personality);
  if (!p.initial_cpus.empty()) line("cpus before the cgroup", cpus_text(p.initial_cpus));
  if (!p.final_cpus.empty()) line("cpus", cpus_text(p.final_cpus));
  line(p.create_working_directory ? "cwd (made if missing)" : "cwd", p.working_directory);
  if (!p.apparmor_profile.empty()) line("apparmor", p.apparmor_profile);
  if (!p.selinux_label.empty()) line("selinux", p.selinux_label);
  if (p.oom_score_adj) line("oom_score_adj", *p.oom_score_adj);
  line("umask", fmt::format("{:04o}", p.umask.value_or(022)));
  if (p.terminal) line("terminal", fmt::format("{}x{}", p.columns, p.rows));
  line("bounding set", capability_names(p.capabilities.bounding).substr(1));
  line("groups", p.keep_groups ? "the launcher's" : fmt::format("{}", fmt::join(p.groups, " ")));
  line("gid", p.gid);
  line("uid", p.uid);
  for (const ResourceLimit& l : p.limits)
    line("limit", fmt::format("{} {} {}", kernel::resource_name(l.resource), limit_text(l.soft), limit_text(l.hard)));
  if (p.no_new_privileges) out += "  no_new_privs\n";
  if (!p.seccomp.filter.empty())
    line("seccomp", fmt::format("{} instructions, flags {:#x}", p.seccomp.filter.size() / 8, p.seccomp.flags));
  if (p.seccomp.notifies()) line("seccomp notifications to", p.seccomp.listener_path);
  line("permitted", capability_names(p.capabilities.permitted).substr(1));
  line("effective", capability_names(p.capabilities.effective).substr(1));
  line("inheritable", capability_names(p.capabilities.inheritable).substr(1));
  line("ambient", capability_names(p.capabilities.ambient).substr(1));
  for (const std::string& variable : p.environment) line("env", printable(variable));
  for (const std::string& argument : p.arguments) line("arg", printable(argument));
}

}  // namespace

std::string to_text(const LaunchPlan& plan) {
  std::string out = "namespaces\n";
  for (const NamespacePlan& entry : plan.namespaces) {
    const std::string from = !entry.path.empty()     ? "join " + entry.path
                             : entry.descriptor >= 0 ? fmt::format("join descriptor {}", entry.descriptor)
                                                     : "new";
    out += fmt::format("  {} {}\n", to_string(entry.kind), from);
  }
  if (!plan.maps.empty())
    out += fmt::format("  uid_map [{}]\n  gid_map [{}]\n", one_line(plan.maps.uid), one_line(plan.maps.gid));
  out += fmt::format("root\n  {}\nsources\n", text(plan.rootfs));
  for (std::size_t i = 0; i < plan.sources.size(); ++i)
    out += fmt::format("  {} {}\n", i, std::visit([](const auto& s) { return text(s); }, plan.sources[i]));
  out += "steps\n";
  for (const Step& step : plan.steps)
    out += fmt::format("  {}\n", std::visit([](const auto& s) { return text(s); }, step));
  out += "process\n";
  add_process(plan.process, out);
  if (plan.resctrl)
    out += fmt::format("resctrl {}{}{}{}\n", plan.resctrl->path, plan.resctrl->may_make ? " (made if missing)" : "",
                       options_text(plan.resctrl->schemata),
                       plan.resctrl->monitor.empty() ? "" : " monitored as " + plan.resctrl->monitor);
  for (const std::string& warning : plan.warnings) out += fmt::format("warning {}\n", warning);
  return out;
}

std::string to_text(const ExecPlan& plan) {
  std::string out = "join";
  for (const Namespace kind : plan.namespaces) out += fmt::format(" {}", to_string(kind));
  out += "\nprocess\n";
  add_process(plan.process, out);
  return out;
}

}  // namespace bryo::runtime

#include "runtime/make_plan.hpp"

#include <sys/mount.h>

#include "base/strings.hpp"
#include "kernel/host.hpp"
#include "runtime/plan/mount_options.hpp"
#include "runtime/plan/plan_builder.hpp"

namespace bryo::runtime {

// Indices and enumerations: what the executor relies on (launch_plan.cpp).
void check_plan(const LaunchPlan& plan);

const std::string& checked_text(const std::string& text, std::string_view field) {
  if (text.find('\0') != std::string::npos)
    fail(ErrorKind::invalid_argument, "{}: {} contains a NUL", field, printable(text));
  return text;
}

void checked_context(const std::string& context, std::string_view field) {
  if (checked_text(context, field).empty() || kernel::selinux_knows(context)) return;
  fail(ErrorKind::invalid_argument, "{}: this host's SELinux policy knows no \"{}\" (USER:ROLE:TYPE:LEVEL)", field,
       printable(context));
}

std::string clean_path(const std::string& path, std::string_view field) {
  checked_text(path, field);
  if (!path.starts_with('/')) fail(ErrorKind::invalid_argument, "{}: {} is not absolute", field, printable(path));
  std::vector<std::string_view> parts;
  for (const std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else {
      parts.push_back(part);
    }
  }
  std::string out;
  for (const std::string_view part : parts) out.append("/").append(part);
  return out.empty() ? "/" : out;
}

std::string mount_target(const oci::Mount& mount, std::string_view field) {
  if (mount.destination.empty()) fail(ErrorKind::invalid_argument, "{}: missing", field);
  return clean_path("/" + mount.destination, field);
}

namespace {

void plan_names(PlanBuilder& builder) {
  const auto& spec = builder.spec;
  if (spec.hostname.empty() && spec.domainname.empty()) return;
  if (builder.plan.find(Namespace::uts) == nullptr)
    fail(ErrorKind::invalid_argument, "hostname: unable to set it without a private UTS namespace");
  if (!spec.hostname.empty()) builder.step(SetHostname{checked_text(spec.hostname, "hostname")});
  if (!spec.domainname.empty()) builder.step(SetDomainname{checked_text(spec.domainname, "domainname")});
}

void plan_time_offsets(PlanBuilder& builder) {
  if (builder.os.time_offsets.empty()) return;
  if (!builder.plan.creates(Namespace::time))
    fail(ErrorKind::invalid_argument, "linux.timeOffsets: needs a new time namespace");
  for (const auto& [clock, offset] : builder.os.time_offsets) {
    if (clock != "monotonic" && clock != "boottime")
      fail(ErrorKind::invalid_argument, "linux.timeOffsets: unknown clock {}", printable(clock));
    if (offset.nanosecs > 999'999'999)
      fail(ErrorKind::invalid_argument, "linux.timeOffsets.{}.nanosecs: {} is not below 1000000000", clock,
           offset.nanosecs);
    builder.step(SetTimeOffset{clock, offset.secs, offset.nanosecs});
  }
}

void plan_hidden_paths(PlanBuilder& builder) {
  for (const std::string& path : builder.os.readonly_paths)
    builder.step(ReadOnlyPath{clean_path(path, "linux.readonlyPaths")});
  for (const std::string& path : builder.os.masked_paths) builder.step(MaskPath{clean_path(path, "linux.maskedPaths")});
}

EnterRoot enter_root(const oci::Linux& os) {
  EnterRoot step;
  if (os.rootfs_propagation.empty()) return step;
  step.propagation = propagation_of(os.rootfs_propagation, step.recursive);
  if (step.propagation == 0)
    fail(ErrorKind::invalid_argument, "linux.rootfsPropagation: unknown value {}", printable(os.rootfs_propagation));
  // It is private already.
  if (step.propagation == MS_PRIVATE) return {};
  return step;
}

// What config.json may ask for and nothing here can do.
void check_host(const PlanBuilder& builder) {
  if (!builder.os.mount_label.empty() && !builder.facts.selinux)
    fail(ErrorKind::unsupported, "linux.mountLabel: SELinux is not enabled on this host");
  checked_context(builder.os.mount_label, "linux.mountLabel");
}

void plan_steps(PlanBuilder& builder) {
  builder.step(AttachRoot{});
  plan_mounts(builder);
  plan_devices(builder);
  if (builder.spec.process->terminal) builder.step(OpenTerminal{});
  plan_time_offsets(builder);
  if (builder.plan.creates(Namespace::network)) builder.step(RaiseLoopback{});
  plan_sysctls(builder);
  plan_names(builder);
  // After everything that is written below /proc: these lie over it.
  plan_hidden_paths(builder);
  for (Step& step : builder.at_end) builder.plan.steps.push_back(std::move(step));
  if (builder.spec.root && builder.spec.root->readonly) builder.step(RootReadOnly{});
  builder.step(enter_root(builder.os));
}

void check_root_source(const PlanBuilder& builder, const RootfsSource& rootfs) {
  const bool needs_map = rootfs.lower_idmap || rootfs.kind == RootfsSource::Kind::idmapped_directory;
  if (needs_map && !builder.mapped())
    fail(ErrorKind::invalid_argument, "root: an idmapped root file system needs a user namespace");
  if (rootfs.lower_idmap && rootfs.lower_parent.empty())
    fail(ErrorKind::invalid_argument, "root: idmapped layers need their common parent directory");
}

}  // namespace

namespace {

bool keeps_groups(const oci::RuntimeSpec& spec) {
  return spec.annotations.contains(std::string(kKeepGroupsAnnotation));
}

}  // namespace

LaunchPlan make_plan(const oci::RuntimeSpec& spec, const HostFacts& facts, const RootfsSource& rootfs,
                     const PlanOptions& options) {
  if (!spec.process) fail(ErrorKind::invalid_argument, "process: missing");
  if (!spec.linux_) fail(ErrorKind::invalid_argument, "linux: missing");
  PlanBuilder builder{spec, *spec.linux_, facts, options, {}, {}};
  builder.plan.rootfs = rootfs;
  plan_namespaces(builder);
  check_root_source(builder, rootfs);
  check_host(builder);
  plan_resctrl(builder);
  builder.plan.process =
      plan_process(*spec.process, *spec.linux_, facts, options, builder.plan.maps, builder.plan.warnings);
  builder.plan.process.keep_groups = keeps_groups(spec);
  plan_steps(builder);
  check_plan(builder.plan);
  return std::move(builder.plan);
}

ExecPlan make_exec_plan(const oci::Process& process, const oci::RuntimeSpec& spec, const HostFacts& facts,
                        const PlanOptions& options) {
  if (!spec.linux_) fail(ErrorKind::invalid_argument, "linux: missing");
  PlanBuilder builder{spec, *spec.linux_, facts, options, {}, {}};
  plan_namespaces(builder);
  ExecPlan plan;
  for (const NamespacePlan& entry : builder.plan.namespaces) plan.namespaces.push_back(entry.kind);
  plan.maps = builder.plan.maps;
  std::vector<std::string> warnings;
  plan.process = plan_process(process, *spec.linux_, facts, options, plan.maps, warnings);
  plan.process.keep_groups = keeps_groups(spec);
  if (const auto& affinity = process.exec_cpu_affinity) {
    plan.process.initial_cpus = parse_cpus(affinity->initial, "process.execCPUAffinity.initial");
    plan.process.final_cpus = parse_cpus(affinity->final, "process.execCPUAffinity.final");
  }
  // The program runs where it is put; only init's working directory may be made.
  plan.process.create_working_directory = false;
  return plan;
}

}  // namespace bryo::runtime

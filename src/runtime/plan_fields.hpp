// The members of every part of a plan, in the order in which they are written: the codec's only description of them.
// A change here is a change of kPlanFormat.
#pragma once

#include <tuple>

#include "runtime/launch_plan.hpp"

namespace bryo::runtime {

inline constexpr std::uint32_t kPlanFormat = 3;

// One template serves reading (T mutable) and writing (T const).
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, CapabilitySets> {
  return std::tie(v.bounding, v.effective, v.permitted, v.inheritable, v.ambient);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, ResourceLimit> {
  return std::tie(v.resource, v.soft, v.hard);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, SeccompProgram> {
  return std::tie(v.filter, v.flags, v.listener_path, v.listener_metadata);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, Scheduling> {
  return std::tie(v.policy, v.flags, v.nice, v.priority, v.runtime, v.deadline, v.period);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, ProcessPlan> {
  return std::tie(v.arguments, v.environment, v.working_directory, v.create_working_directory, v.uid, v.gid, v.groups,
                  v.keep_groups, v.umask, v.capabilities, v.no_new_privileges, v.limits, v.oom_score_adj, v.scheduling,
                  v.io_priority, v.personality, v.initial_cpus, v.final_cpus, v.apparmor_profile, v.selinux_label,
                  v.session_keyring, v.seccomp, v.terminal, v.rows, v.columns);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, MapTexts> {
  return std::tie(v.uid, v.gid);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, RootfsSource> {
  return std::tie(v.kind, v.path, v.descriptor, v.lower, v.lower_parent, v.upper, v.work, v.lower_idmap, v.options);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, NamespacePlan> {
  return std::tie(v.kind, v.path, v.descriptor);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, MountAttributes> {
  return std::tie(v.set, v.clear, v.set_recursive, v.clear_recursive, v.propagation, v.propagation_recursive);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, BindSource> {
  return std::tie(v.path, v.root, v.descriptor, v.recursive, v.idmap, v.idmap_recursive, v.maps, v.attributes);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, DeviceNode> {
  return std::tie(v.name, v.type, v.major, v.minor, v.mode, v.uid, v.gid);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, Link> {
  return std::tie(v.name, v.target);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, DeviceTreeSource> {
  return std::tie(v.options, v.attributes, v.root_uid, v.root_gid, v.directories, v.nodes, v.links);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, DeviceSource> {
  return std::tie(v.path, v.type, v.major, v.minor);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, EnterRoot> {
  return std::tie(v.propagation, v.recursive);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, AttachSource> {
  return std::tie(v.source, v.target, v.plain_target, v.allow_in_proc, v.in_order);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, MountFilesystem> {
  return std::tie(v.type, v.source, v.options, v.attributes, v.propagation, v.target, v.plain_target, v.optional,
                  v.copy_up);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, ChangeMount> {
  return std::tie(v.target, v.attributes);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, MaskPath> {
  return std::tie(v.target);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, ReadOnlyPath> {
  return std::tie(v.target);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, MakeLink> {
  return std::tie(v.link);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, MakeNode> {
  return std::tie(v.node, v.listed);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, SetSysctl> {
  return std::tie(v.path, v.value);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, SetHostname> ||
    std::is_same_v<std::remove_const_t<T>, SetDomainname> {
  return std::tie(v.name);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, SetTimeOffset> {
  return std::tie(v.clock, v.seconds, v.nanoseconds);
}
template <typename T>
auto plan_fields(T&) requires std::is_same_v<std::remove_const_t<T>, RaiseLoopback> ||
    std::is_same_v<std::remove_const_t<T>, RootReadOnly> || std::is_same_v<std::remove_const_t<T>, OpenTerminal> ||
    std::is_same_v<std::remove_const_t<T>, AttachRoot> {
  return std::tuple<>();
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, LaunchPlan> {
  return std::tie(v.namespaces, v.maps, v.rootfs, v.sources, v.steps, v.process, v.resctrl, v.warnings);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, ResctrlPlan> {
  return std::tie(v.path, v.may_make, v.schemata, v.monitor);
}
template <typename T>
auto plan_fields(T& v) requires std::is_same_v<std::remove_const_t<T>, ExecPlan> {
  return std::tie(v.namespaces, v.maps, v.process);
}

}  // namespace bryo::runtime

#include <algorithm>

#include "base/strings.hpp"
#include "runtime/plan/plan_builder.hpp"

namespace bryo::runtime {
namespace {

Namespace namespace_kind(const std::string& type) {
  constexpr std::pair<std::string_view, Namespace> kTypes[] = {
      {"user", Namespace::user},       {"mount", Namespace::mount}, {"pid", Namespace::pid},
      {"network", Namespace::network}, {"ipc", Namespace::ipc},     {"uts", Namespace::uts},
      {"cgroup", Namespace::cgroup},   {"time", Namespace::time}};
  for (const auto& [name, kind] : kTypes)
    if (name == type) return kind;
  fail(ErrorKind::invalid_argument, "linux.namespaces: unknown type {}", printable(type));
}

std::string map_text(const std::vector<oci::LinuxIdMapping>& mappings) {
  std::string text;
  for (const auto& m : mappings) text += fmt::format("{} {} {}\n", m.container_id, m.host_id, m.size);
  return text;
}

bool overlap(std::uint64_t a, std::uint64_t a_size, std::uint64_t b, std::uint64_t b_size) {
  return a < b + b_size && b < a + a_size;
}

}  // namespace

void check_mappings(const std::vector<oci::LinuxIdMapping>& mappings, std::string_view field, bool host_root_allowed) {
  constexpr std::uint64_t kIds = 4294967295U;
  if (mappings.size() > 340) fail(ErrorKind::invalid_argument, "{}: more than 340 ranges", field);
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    const auto& m = mappings[i];
    if (m.size == 0 || std::uint64_t{m.container_id} + m.size > kIds || std::uint64_t{m.host_id} + m.size > kIds)
      fail(ErrorKind::invalid_argument, "{}: range {} {} {} is empty or too large", field, m.container_id, m.host_id,
           m.size);
    for (std::size_t j = 0; j < i; ++j)
      if (overlap(m.container_id, m.size, mappings[j].container_id, mappings[j].size) ||
          overlap(m.host_id, m.size, mappings[j].host_id, mappings[j].size))
        fail(ErrorKind::invalid_argument, "{}: ranges overlap at {} {} {}", field, m.container_id, m.host_id, m.size);
    // Asked to be mapped, root must not come out as the host's root.
    if (!host_root_allowed && m.host_id == 0)
      fail(ErrorKind::invalid_argument, "{}: it maps container id {} to the host's 0, which no container may be", field,
           m.container_id);
  }
}

namespace {

void plan_maps(PlanBuilder& builder) {
  const auto& os = builder.os;
  const bool given = !os.uid_mappings.empty() || !os.gid_mappings.empty();
  if (!builder.mapped()) {
    if (given) fail(ErrorKind::invalid_argument, "linux.uidMappings: given without a user namespace");
    return;
  }
  if (os.uid_mappings.empty() || os.gid_mappings.empty())
    fail(ErrorKind::invalid_argument, "linux.uidMappings, linux.gidMappings: a user namespace needs both");
  check_mappings(os.uid_mappings, "linux.uidMappings", builder.facts.in_user_namespace);
  check_mappings(os.gid_mappings, "linux.gidMappings", builder.facts.in_user_namespace);
  builder.plan.maps = map_texts(os);
}

}  // namespace

MapTexts map_texts(const oci::Linux& os) { return {map_text(os.uid_mappings), map_text(os.gid_mappings)}; }

void plan_namespaces(PlanBuilder& builder) {
  for (const auto& entry : builder.os.namespaces) {
    const Namespace kind = namespace_kind(entry.type);
    if (builder.plan.find(kind) != nullptr)
      fail(ErrorKind::invalid_argument, "linux.namespaces: {} is there twice", entry.type);
    builder.plan.namespaces.push_back({kind, checked_text(entry.path, "linux.namespaces.path")});
  }
  if (builder.plan.find(Namespace::mount) == nullptr)
    fail(ErrorKind::invalid_argument, "linux.namespaces: a container needs a mount namespace of its own");
  std::ranges::sort(builder.plan.namespaces, {}, &NamespacePlan::kind);
  // Its mounts belong to the user namespace that it was made in: a new one has no rights over them.
  if (!builder.plan.creates(Namespace::mount) && builder.plan.creates(Namespace::user))
    fail(ErrorKind::unsupported,
         "linux.namespaces: a mount namespace can be joined only together with its user namespace");
  plan_maps(builder);
}

}  // namespace bryo::runtime

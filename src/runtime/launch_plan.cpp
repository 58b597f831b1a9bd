#include "runtime/launch_plan.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace bryo::runtime {

std::string_view to_string(Namespace kind) {
  constexpr std::string_view kNames[kNamespaces] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"};
  const auto index = static_cast<std::size_t>(kind);
  return index < kNamespaces ? kNames[index] : "?";
}

const NamespacePlan* LaunchPlan::find(Namespace kind) const {
  const auto found = std::ranges::find(namespaces, kind, &NamespacePlan::kind);
  return found == namespaces.end() ? nullptr : &*found;
}

bool LaunchPlan::creates(Namespace kind) const {
  const NamespacePlan* entry = find(kind);
  return entry != nullptr && !entry->joins();
}

namespace {

void require(bool holds, std::string_view what) {
  if (!holds) fail(ErrorKind::invalid_argument, "launch plan: malformed: {}", what);
}

void check_namespaces(const LaunchPlan& plan) {
  unsigned seen = 0;
  for (const NamespacePlan& entry : plan.namespaces) {
    const auto index = static_cast<unsigned>(entry.kind);
    require(index < kNamespaces, "an unknown namespace");
    require((seen & (1U << index)) == 0, "a namespace twice");
    seen |= 1U << index;
  }
  require(plan.find(Namespace::mount) != nullptr, "no mount namespace of its own");
  require(plan.maps.empty() == (plan.find(Namespace::user) == nullptr),
          "maps without a user namespace or without maps");
}

}  // namespace

void check_plan(const LaunchPlan& plan) {
  check_namespaces(plan);
  require(plan.rootfs.kind <= RootfsSource::Kind::mounted, "an unknown kind of root file system");
  require(!plan.steps.empty() && std::holds_alternative<AttachRoot>(plan.steps.front()), "it must begin with the root");
  std::size_t roots = 0;
  for (const Step& step : plan.steps) {
    if (const auto* attach = std::get_if<AttachSource>(&step))
      require(attach->source < plan.sources.size(), "a source that is not there");
    if (std::holds_alternative<EnterRoot>(step)) ++roots;
  }
  require(roots == 1, "the root must be entered once");
  for (const Source& source : plan.sources)
    if (const auto* bind = std::get_if<BindSource>(&source))
      require(bind->idmap <= IdMapping::own, "an unknown kind of id mapping");
  require(!plan.process.arguments.empty(), "no program");
}

}  // namespace bryo::runtime

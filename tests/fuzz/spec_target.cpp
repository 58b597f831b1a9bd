#include "spec_target.hpp"

#include <cstdio>
#include <cstdlib>

#include "base/error.hpp"
#include "oci/runtime_spec_json.hpp"
#include "runtime/make_plan.hpp"

namespace bryo::fuzz {
namespace {

// A host that can do everything: what is refused here is refused for what it says.
runtime::HostFacts capable_host() {
  runtime::HostFacts facts;
  facts.kernel = 6018;
  facts.capabilities = (std::uint64_t{1} << 41) - 1;
  facts.apparmor = true;
  facts.selinux = true;
  facts.unified_cgroups = true;
  facts.host_mqueue = true;
  facts.resctrl = "/sys/fs/resctrl";
  return facts;
}

[[noreturn]] void broken(const char* promise, const std::string& what) {
  std::fprintf(stderr, "broken promise: %s: %s\n", promise, what.c_str());
  std::abort();
}

void check_plans(const oci::RuntimeSpec& spec) {
  static const runtime::HostFacts kFacts = capable_host();
  runtime::PlanOptions options;
  options.bundle = "/bundle";
  options.cgroup_path = "/c";
  options.container_id = "c";
  runtime::RootfsSource root;
  root.path = "/bundle/rootfs";
  const runtime::LaunchPlan plan = runtime::make_plan(spec, kFacts, root, options);
  if (runtime::deserialize_launch_plan(runtime::serialize(plan)) != plan)
    broken("plans survive the codec", to_text(plan));
  const runtime::ExecPlan exec = runtime::make_exec_plan(*spec.process, spec, kFacts, options);
  if (runtime::deserialize_exec_plan(runtime::serialize(exec)) != exec)
    broken("plans survive the codec", to_text(exec));
}

}  // namespace

std::string plan_config(std::string_view text) {
  try {
    const oci::RuntimeSpec spec = oci::parse_runtime_spec(text);
    const std::string written = oci::format_runtime_spec(spec);
    if (oci::format_runtime_spec(oci::parse_runtime_spec(written)) != written)
      broken("what is written is read", written);
    check_plans(spec);
    return "";
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::invalid_argument && error.kind() != ErrorKind::unsupported)
      broken("a bad configuration is its author's fault", error.message());
    if (error.message().empty()) broken("errors have a text", std::string(text));
    return error.message();
  } catch (const std::exception& other) {
    broken("errors are of one type", other.what());
  }
}

}  // namespace bryo::fuzz

// linux.intelRdt: which class of service, and what it may use (config-linux.md, "IntelRdt").
#include "base/strings.hpp"
#include "runtime/plan/plan_builder.hpp"

namespace bryo::runtime {
namespace {

void add_line(std::vector<std::string>& lines, const std::string& line, std::string_view prefix,
              std::string_view field) {
  if (line.empty()) return;
  checked_text(line, field);
  if (!line.starts_with(prefix) || line.find('\n') != std::string::npos)
    fail(ErrorKind::invalid_argument, "{}: \"{}\" is not one line{}{}", field, printable(line),
         prefix.empty() ? "" : " that begins with ", prefix);
  lines.push_back(line);
}

void check_name(const std::string& name) {
  checked_text(name, "linux.intelRdt.closID");
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos)
    fail(ErrorKind::invalid_argument, "linux.intelRdt.closID: \"{}\" is no name of a class", printable(name));
}

bool is_monitored(const oci::LinuxIntelRdt& rdt) { return rdt.enable_cmt || rdt.enable_mbm || rdt.enable_monitoring; }

}  // namespace

void plan_resctrl(PlanBuilder& builder) {
  if (!builder.os.intel_rdt) return;
  const oci::LinuxIntelRdt& rdt = *builder.os.intel_rdt;
  if (builder.facts.resctrl.empty())
    fail(ErrorKind::unsupported, "linux.intelRdt: no resctrl file system is mounted on this host");
  ResctrlPlan plan;
  add_line(plan.schemata, rdt.l3_cache_schema, "L3", "linux.intelRdt.l3CacheSchema");
  add_line(plan.schemata, rdt.mem_bw_schema, "MB:", "linux.intelRdt.memBwSchema");
  for (const std::string& line : rdt.schemata) add_line(plan.schemata, line, "", "linux.intelRdt.schemata");
  const std::string& own = builder.options.container_id;
  // "/" is the class that everything is in by default.
  plan.path = builder.facts.resctrl;
  if (rdt.clos_id != "/") {
    const std::string& name = rdt.clos_id.empty() ? own : rdt.clos_id;
    check_name(name);
    plan.path += "/" + name;
  }
  plan.may_make = rdt.clos_id.empty() || (rdt.clos_id != "/" && !plan.schemata.empty());
  if (is_monitored(rdt)) plan.monitor = own;
  builder.plan.resctrl = std::move(plan);
}

std::vector<std::string> resctrl_leftovers(const oci::RuntimeSpec& spec, const std::string& resctrl,
                                           const std::string& container_id) {
  if (resctrl.empty() || !spec.linux_ || !spec.linux_->intel_rdt) return {};
  const oci::LinuxIntelRdt& rdt = *spec.linux_->intel_rdt;
  // A class of its own goes with what is in it; of a named one only the monitoring group is the container's.
  if (rdt.clos_id.empty()) return {resctrl + "/" + container_id};
  if (!is_monitored(rdt)) return {};
  return {resctrl + (rdt.clos_id == "/" ? "" : "/" + rdt.clos_id) + "/mon_groups/" + container_id};
}

}  // namespace bryo::runtime

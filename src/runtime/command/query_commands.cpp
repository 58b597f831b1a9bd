// state, list, ps, spec, features, plan.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/capabilities.hpp"
#include "kernel/files.hpp"
#include "oci/runtime_spec_json.hpp"
#include "runtime/command/context.hpp"
#include "runtime/command/launch.hpp"
#include "runtime/default_spec.hpp"
#include "runtime/make_plan.hpp"

namespace bryo::runtime::command {
namespace {

oci::RuntimeSpec spec_or_empty(const Context& context, const std::string& id) {
  try {
    return context.states.load_spec(id);
  } catch (const Error&) {
    // A container that was never finished has none.
    return {};
  }
}

StateView look_at(const Context& context, const ContainerState& state) {
  return view_of(state, spec_or_empty(context, state.id), status_of(state));
}

void print(const json::Value& value) { fmt::print("{}\n", json::pretty(value)); }

}  // namespace

int state_command(const Context& context, std::span<const std::string> words) {
  const Arguments arguments = Arguments::parse(words, {});
  print(json::encode(look_at(context, context.states.load(arguments.need(0, "container id")))));
  return 0;
}

int list_command(const Context& context, std::span<const std::string> words) {
  constexpr Option kOptions[] = {{"format", "f", true}, {"quiet", "q", false}};
  const Arguments arguments = Arguments::parse(words, kOptions);
  const std::string format = arguments.value("format", "table");
  std::vector<StateView> views;
  for (const ContainerState& state : context.states.list()) views.push_back(look_at(context, state));
  if (arguments.has("quiet")) {
    for (const StateView& view : views) fmt::print("{}\n", view.id);
  } else if (format == "json") {
    fmt::print("{}\n", json::serialize(json::encode(views)));
  } else if (format == "table") {
    fmt::print("{:<20} {:<10} {:<10} {:<30} {:<32} {}\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER");
    for (const StateView& v : views)
      fmt::print("{:<20} {:<10} {:<10} {:<30} {:<32} {}\n", v.id, v.pid, v.status, v.bundle, v.created,
                 v.owner.empty() ? "root" : v.owner);
  } else {
    fail(ErrorKind::invalid_argument, "invalid format option");
  }
  return 0;
}

int ps_command(const Context& context, std::span<const std::string> words) {
  constexpr Option kOptions[] = {{"format", "f", true}};
  const Arguments arguments = Arguments::parse(words, kOptions);
  const ContainerState state = context.states.load(arguments.need(0, "container id"));
  if (!state.cgroups) fail(ErrorKind::unsupported, "ps: the container has no cgroup of its own");
  auto pids = kernel::ContainerCgroup::open(kernel::CgroupLayout::detect(), state.cgroup_path).pids();
  std::ranges::sort(pids);
  if (arguments.value("format") == "json") {
    fmt::print("{}\n", json::serialize(json::encode(pids)));
    return 0;
  }
  // Columns are ps(1)'s own, of the host; an empty list would make it show everything.
  std::string list;
  for (const pid_t pid : pids) list += (list.empty() ? "" : ",") + std::to_string(pid);
  if (list.empty()) return 0;
  std::fflush(stdout);
  ::execlp("ps", "ps", "-f", "-p", list.c_str(), nullptr);
  fail_errno("run ps");
}

int spec_command(const Context&, std::span<const std::string> words) {
  constexpr Option kOptions[] = {{"bundle", "b", true}, {"rootless", "", false}};
  const Arguments arguments = Arguments::parse(words, kOptions);
  oci::RuntimeSpec spec = default_spec();
  spec.process->terminal = true;
  if (arguments.has("rootless")) {
    std::erase_if(spec.linux_->namespaces, [](const auto& entry) { return entry.type == "network"; });
    spec.linux_->namespaces.push_back({"user", ""});
    spec.linux_->uid_mappings = {{0, ::geteuid(), 1}};
    spec.linux_->gid_mappings = {{0, ::getegid(), 1}};
    spec.linux_->resources.reset();
  }
  const std::string path = arguments.value("bundle", ".") + "/config.json";
  struct stat info = {};
  if (::lstat(path.c_str(), &info) == 0) fail(ErrorKind::conflict, "File config.json exists. Remove it first");
  const UniqueFd directory = kernel::open_trusted(arguments.value("bundle", "."), O_RDONLY | O_DIRECTORY);
  kernel::write_file_durably(directory.get(), "config.json", oci::format_runtime_spec(spec) + "\n", 0644);
  return 0;
}

int features_command(const Context&, std::span<const std::string>) {
  json::Array capabilities;
  for (unsigned i = 0; i < kernel::kKnownCapabilities; ++i) capabilities.emplace_back(kernel::capability_name(i));
  const json::Array namespaces = {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"};
  json::Object os;
  os["namespaces"] = namespaces;
  os["capabilities"] = capabilities;
  os["cgroup"] = json::Object{{"v1", true}, {"v2", true}, {"systemd", false}, {"systemdUser", false}, {"rdma", false}};
  os["seccomp"] = json::Object{
      {"enabled", true},
      {"actions", json::Array{"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                              "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"}},
      {"operators", json::Array{"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
                                "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"}},
      {"archs",
       json::Array{"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"}}};
  os["apparmor"] = json::Object{{"enabled", true}};
  os["selinux"] = json::Object{{"enabled", true}};
  os["mountExtensions"] = json::Object{{"idmap", json::Object{{"enabled", true}}}};
  json::Object features;
  features["ociVersionMin"] = "1.0.0";
  features["ociVersionMax"] = oci::kRuntimeSpecVersion;
  features["hooks"] = json::Array{"prestart", "createRuntime", "poststart", "poststop"};
  features["linux"] = os;
  features["annotations"] = json::Object{{"io.bryo.version", BRYO_VERSION}};
  print(features);
  return 0;
}

int plan_command(const Context&, std::span<const std::string> words) {
  constexpr Option kOptions[] = {{"bundle", "b", true}};
  const Arguments arguments = Arguments::parse(words, kOptions);
  const std::string path = arguments.positional().empty() ? arguments.value("bundle", ".") : arguments.positional()[0];
  const BundleSpec bundle = load_bundle(path);
  PlanOptions options;
  if (bundle.spec.linux_) options.cgroup_path = cgroup_path_of(*bundle.spec.linux_, "ID");
  options.keyring_name = "_ses.ID";
  options.bundle = bundle.bundle;
  fmt::print("{}",
             to_text(make_plan(bundle.spec, gather_host_facts(DeviceNodes::left_out), rootfs_of(bundle), options)));
  return 0;
}

}  // namespace bryo::runtime::command

// state, list, ps, spec, plan.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/program.hpp"
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

// Columns as wide as their widest cell and three blanks, at least twelve: runc's table.
void print_table(const std::vector<StateView>& views) {
  std::vector<std::array<std::string, 6>> rows = {{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
  for (const StateView& v : views)
    rows.push_back({v.id, std::to_string(v.pid), v.status, v.bundle, v.created, v.owner});
  std::array<std::size_t, 6> widths;
  widths.fill(9);
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) fmt::print("{:<{}}", row[i], widths[i] + 3);
    fmt::print("{}\n", row.back());
  }
}

// The lines of ps(1) of the host that are the container's; its options are the caller's.
void print_processes(std::vector<std::string> options, const std::vector<pid_t>& pids) {
  constexpr std::size_t kMaxOutput = 16 * 1024 * 1024;
  if (options.empty()) options = {"-ef"};
  options.insert(options.begin(), "ps");
  const std::string output = kernel::run_program(options, kMaxOutput);
  std::optional<std::size_t> column;
  for (const std::string_view line : split(output, '\n')) {
    std::vector<std::string_view> fields = split(line, ' ');
    std::erase_if(fields, [](std::string_view field) { return field.empty(); });
    if (fields.empty()) continue;
    if (!column) {
      const auto found = std::ranges::find(fields, "PID");
      if (found == fields.end())
        fail(ErrorKind::invalid_argument, "ps: its output has no column PID; add it to the options (-o pid,…)");
      column = static_cast<std::size_t>(found - fields.begin());
      fmt::print("{}\n", line);
      continue;
    }
    const auto pid = *column < fields.size() ? parse_integer<pid_t>(fields[*column]) : std::nullopt;
    if (pid && std::ranges::binary_search(pids, *pid)) fmt::print("{}\n", line);
  }
}

void print(const json::Value& value) { fmt::print("{}\n", json::pretty(value)); }

}  // namespace

int state_command(const Context& context, std::span<const std::string> words) {
  const Arguments arguments = Arguments::parse(words, {}).exactly(1, "state");
  print(json::encode(look_at(context, context.states.load(arguments.need(0, "container id")))));
  return 0;
}

int list_command(const Context& context, std::span<const std::string> words) {
  constexpr Option kOptions[] = {{"format", "f", true}, {"quiet", "q", false}};
  const Arguments arguments = Arguments::parse(words, kOptions).exactly(0, "list");
  const std::string format = arguments.value("format", "table");
  if (format != "table" && format != "json") fail(ErrorKind::invalid_argument, "invalid format option");
  std::vector<StateView> views;
  for (const ContainerState& state : context.states.list()) {
    views.push_back(look_at(context, state));
    views.back().owner = context.states.owner(state.id);
  }
  if (arguments.has("quiet"))
    for (const StateView& view : views) fmt::print("{}\n", view.id);
  else if (format == "json")
    fmt::print("{}\n", views.empty() ? "null" : json::serialize(json::encode(views)));
  else
    print_table(views);
  return 0;
}

int ps_command(const Context& context, std::span<const std::string> words) {
  constexpr Option kOptions[] = {{"format", "f", true}};
  const Arguments arguments = Arguments::parse_first(words, kOptions).at_least(1, "ps");
  const std::string format = arguments.value("format", "table");
  if (format != "table" && format != "json") fail(ErrorKind::invalid_argument, "invalid format option");
  const ContainerState state = context.states.load(arguments.need(0, "container id"));
  const auto pids = cgroup_of(state).pids();
  if (format == "json") {
    fmt::print("{}\n", pids.empty() ? "null" : json::serialize(json::encode(pids)));
    return 0;
  }
  const std::vector<std::string> wanted(arguments.positional().begin() + 1, arguments.positional().end());
  print_processes(wanted, pids);
  return 0;
}

int spec_command(const Context&, std::span<const std::string> words) {
  constexpr Option kOptions[] = {{"bundle", "b", true}, {"rootless", "", false}};
  const Arguments arguments = Arguments::parse(words, kOptions).exactly(0, "spec");
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

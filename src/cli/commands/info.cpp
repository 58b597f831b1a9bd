#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/escape.hpp"
#include "cli/format/json_text.hpp"
#include "cli/format/units.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {{"format", 'f', &kText, "", "json, or a Go template"}};

// Writes " Name: value" lines; what the engine does not say is left out where Docker leaves it out.
class InfoText {
 public:
  explicit InfoText(const json::Value& info) : info_(info) {}

  std::string run() {
    counts();
    storage();
    plugins();
    runtimes();
    security();
    host();
    network();
    warnings();
    return std::move(out_);
  }

 private:
  void line(std::string_view name, const std::string& value) {
    out_ += fmt::format(" {}: {}\n", name, terminal_safe(value));
  }
  void field(std::string_view name, std::string_view key) { line(name, text_at(info_, key)); }
  void field_if(std::string_view name, std::string_view key) {
    if (const std::string value = text_at(info_, key); !value.empty()) line(name, value);
  }
  void number(std::string_view name, std::string_view key) { line(name, std::to_string(number_at(info_, key))); }
  void flag(std::string_view name, std::string_view key) { line(name, flag_at(info_, key) ? "true" : "false"); }
  void list(std::string_view name, const std::vector<std::string>& values) {
    if (values.empty()) return;
    out_ += fmt::format(" {}:\n", name);
    for (const std::string& value : values) out_ += fmt::format("  {}\n", terminal_safe(value));
  }

  void counts() {
    number("Containers", "Containers");
    number(" Running", "ContainersRunning");
    number(" Paused", "ContainersPaused");
    number(" Stopped", "ContainersStopped");
    number("Images", "Images");
    field_if("Server Version", "ServerVersion");
  }

  void storage() {
    field("Storage Driver", "Driver");
    for (const json::Value& pair : array_at(info_, "DriverStatus")) {
      const std::vector<std::string> both = texts_at(pair, "");
      if (both.size() == 2) line(" " + terminal_safe(both[0]), both[1]);
    }
    field_if("Logging Driver", "LoggingDriver");
    field_if("Cgroup Driver", "CgroupDriver");
    field_if("Cgroup Version", "CgroupVersion");
  }

  void plugins() {
    out_ += " Plugins:\n";
    for (const char* kind : {"Volume", "Network", "Authorization", "Log"}) {
      const std::vector<std::string> names = texts_at(info_, std::string("Plugins.") + kind);
      if (!names.empty() || std::string_view(kind) == "Volume" || std::string_view(kind) == "Network")
        line(std::string(" ") + kind, join(names, " "));
    }
    list("CDI spec directories", texts_at(info_, "CDISpecDirs"));
    field_if("Swarm", "Swarm.LocalNodeState");
  }

  void runtimes() {
    std::vector<std::string> names;
    for (const auto& item : object_at(info_, "Runtimes")) names.emplace_back(item.key().data(), item.key().size());
    std::sort(names.begin(), names.end());
    if (!names.empty()) {
      line("Runtimes", join(names, " "));
      field("Default Runtime", "DefaultRuntime");
    }
    field("Init Binary", "InitBinary");
    for (const auto& [name, key] :
         {std::pair{"containerd version", "ContainerdCommit.ID"}, std::pair{"runc version", "RuncCommit.ID"},
          std::pair{"init version", "InitCommit.ID"}})
      field(name, key);
  }

  // "name=seccomp,profile=default" → a line for the name, indented ones for the rest.
  void security() {
    const std::vector<std::string> options = texts_at(info_, "SecurityOptions");
    if (options.empty()) return;
    out_ += " Security Options:\n";
    for (const std::string& option : options)
      for (const std::string_view part : split(option, ',')) {
        const auto pair = split_once(part, '=');
        if (!pair)
          out_ += fmt::format("  {}\n", terminal_safe(part));
        else if (pair->first == "name")
          out_ += fmt::format("  {}\n", terminal_safe(pair->second));
        else
          out_ += fmt::format("   {}: {}\n", pair->first == "profile" ? "Profile" : terminal_safe(pair->first),
                              terminal_safe(pair->second));
      }
  }

  void host() {
    field_if("Kernel Version", "KernelVersion");
    field_if("Operating System", "OperatingSystem");
    field_if("OSType", "OSType");
    field_if("Architecture", "Architecture");
    number("CPUs", "NCPU");
    line("Total Memory", binary_size(real_at(info_, "MemTotal")));
    field_if("Name", "Name");
    field_if("ID", "ID");
    field("Docker Root Dir", "DockerRootDir");
    flag("Debug Mode", "Debug");
    if (flag_at(info_, "Debug")) {
      number(" File Descriptors", "NFd");
      number(" Goroutines", "NGoroutines");
      field(" System Time", "SystemTime");
      number(" EventsListeners", "NEventsListener");
    }
    field_if("HTTP Proxy", "HttpProxy");
    field_if("HTTPS Proxy", "HttpsProxy");
    field_if("No Proxy", "NoProxy");
    list("Labels", texts_at(info_, "Labels"));
    flag("Experimental", "ExperimentalBuild");
  }

  void network() {
    std::vector<std::string> insecure;
    for (const auto& item : object_at(info_, "RegistryConfig.IndexConfigs"))
      if (find_at(item.value(), "Secure") != nullptr && !flag_at(item.value(), "Secure"))
        insecure.emplace_back(item.key().data(), item.key().size());
    for (std::string& range : texts_at(info_, "RegistryConfig.InsecureRegistryCIDRs"))
      insecure.push_back(std::move(range));
    list("Insecure Registries", insecure);
    list("Registry Mirrors", texts_at(info_, "RegistryConfig.Mirrors"));
    flag("Live Restore Enabled", "LiveRestoreEnabled");
    field_if("Product License", "ProductLicense");
    const json::Array& pools = array_at(info_, "DefaultAddressPools");
    if (!pools.empty()) out_ += " Default Address Pools:\n";
    for (const json::Value& pool : pools)
      out_ += fmt::format("   Base: {}, Size: {}\n", terminal_safe(text_at(pool, "Base")), number_at(pool, "Size"));
  }

  void warnings() {
    const std::vector<std::string> texts = texts_at(info_, "Warnings");
    out_ += "\n";
    for (const std::string& text : texts) out_ += terminal_safe(text) + "\n";
  }

  const json::Value& info_;
  std::string out_;
};

int run_info(Context& context, const Arguments& arguments) {
  const std::string format = arguments.text("format");
  if (format.empty()) {
    context.out.print("Client:\n Version:    {}\n Context:    default\n Debug Mode: false\n\nServer:\n", BRYO_VERSION);
    const json::Value info = context.client().get("/info").json();
    context.out.write(InfoText(info).run());
    return 0;
  }
  json::Value info = context.client().get("/info").json();
  if (info.is_object())
    info.get_object()["ClientInfo"] = json::Object{{"Debug", false}, {"Version", BRYO_VERSION}, {"Context", "default"}};
  context.out.print("{}\n", format == "json" ? compact_json(info) : render_value(info, format));
  return 0;
}

}  // namespace

const Command kInfo = {.names = "info|system info",
                       .usage = "[OPTIONS]",
                       .summary = "Show how the engine is set up",
                       .options = kRows,
                       .maximum = 0,
                       .run = run_info};

}  // namespace bryo::cli

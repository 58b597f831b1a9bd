#include "cli/setup/places.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::cli {
namespace {

void set_prefix(SetupPlaces& places, const std::string& prefix) {
  if (!prefix.starts_with('/') || prefix.find_first_of("\n\r") != std::string::npos)
    fail(ErrorKind::invalid_argument, "--prefix {}: expected an absolute path", printable(prefix));
  places.prefix = prefix;
  while (places.prefix.size() > 1 && places.prefix.ends_with('/')) places.prefix.pop_back();
  places.programs = places.prefix + "/bin";
  places.completions = places.prefix + "/share";
}

}  // namespace

SetupPlaces user_places(std::uint32_t uid, const std::string& prefix, const Variables& variables) {
  const std::string home = variables("HOME");
  if (!home.starts_with('/')) fail(ErrorKind::not_found, "HOME is not set: bryo setup does not know where to install");
  const auto base = [&](const char* name, const char* usual) {
    const std::string given = variables(name);
    return given.starts_with('/') ? given : home + usual;
  };
  SetupPlaces places;
  set_prefix(places, prefix.empty() ? home + "/.local" : prefix);
  const std::string config = base("XDG_CONFIG_HOME", "/.config");
  const std::string runtime = variables("XDG_RUNTIME_DIR");
  places.units = config + "/systemd/user";
  places.configuration = config + "/bryo";
  places.docker = variables("DOCKER_CONFIG").empty() ? home + "/.docker" : variables("DOCKER_CONFIG");
  places.manifest = base("XDG_STATE_HOME", "/.local/state") + "/bryo/setup.json";
  places.data_root = base("XDG_DATA_HOME", "/.local/share") + "/bryo";
  places.exec_root = (runtime.empty() ? fmt::format("/run/user/{}", uid) : runtime) + "/bryo";
  return places;
}

SetupPlaces system_places(const std::string& prefix) {
  SetupPlaces places;
  places.system = true;
  set_prefix(places, prefix.empty() ? "/usr/local" : prefix);
  places.units = "/etc/systemd/system";
  places.configuration = "/etc/bryo";
  places.manifest = "/etc/bryo/setup.json";
  places.data_root = "/var/lib/bryo";
  places.exec_root = "/run/bryo";
  return places;
}

}  // namespace bryo::cli

// Small words for the checks.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "rootless/doctor/finding.hpp"
#include "rootless/doctor/host.hpp"

namespace bryo::rootless::doctor {

inline Finding ok(std::string name, std::string detail) { return {std::move(name), State::ok, std::move(detail), {}}; }
inline Finding warning(std::string name, std::string detail, std::string fix = {}) {
  return {std::move(name), State::warning, std::move(detail), std::move(fix)};
}
inline Finding missing(std::string name, std::string detail, std::string fix = {}) {
  return {std::move(name), State::missing, std::move(detail), std::move(fix)};
}
inline Finding not_applicable(std::string name, std::string why) {
  return {std::move(name), State::not_applicable, std::move(why), {}};
}

inline bool ordinary(const Host& host) { return host.standing() == Standing::user; }
inline bool has_systemd(const Host& host) { return host.file("/run/systemd/system").has_value(); }

// Sets it now and at every boot: "user.max_user_namespaces=28633".
inline std::string sysctl_fix(std::string_view setting) {
  const auto key = setting.substr(0, setting.find('='));
  return fmt::format("echo '{}' | sudo tee /etc/sysctl.d/60-bryo-{}.conf && sudo sysctl --system", setting,
                     key.substr(key.rfind('.') + 1));
}
// Loads them now and at every boot: "bridge veth".
std::string modules_fix(std::string_view file, std::string_view modules);
// The host's own command, by /etc/os-release.
std::string install_fix(const Host& host, std::string_view debian, std::string_view fedora, std::string_view arch,
                        std::string_view alpine, std::string_view suse);
// An attempt that stands for itself.
Finding by_attempt(std::string name, const Outcome& outcome, std::string good, State bad, std::string_view consequence,
                   std::string fix);

}  // namespace bryo::rootless::doctor

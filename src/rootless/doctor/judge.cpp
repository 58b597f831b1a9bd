#include "rootless/doctor/judge.hpp"

#include <algorithm>

#include "base/strings.hpp"

namespace bryo::rootless::doctor {
namespace {

// ID and ID_LIKE: "debian", "ubuntu debian", "rhel centos fedora".
std::string families(const Host& host) {
  std::string out;
  const std::string text = host.text("/etc/os-release").value_or("");
  for (const std::string_view line : split(text, '\n'))
    if (line.starts_with("ID=") || line.starts_with("ID_LIKE="))
      out += fmt::format(" {}", line.substr(line.find('=') + 1));
  std::replace(out.begin(), out.end(), '"', ' ');
  return out + " ";
}

}  // namespace

std::string modules_fix(std::string_view file, std::string_view modules) {
  std::string lines(modules);
  std::replace(lines.begin(), lines.end(), ' ', '\n');
  for (auto at = lines.find('\n'); at != std::string::npos; at = lines.find('\n', at + 2)) lines.replace(at, 1, "\\n");
  return fmt::format("sudo modprobe -a {} && printf '{}\\n' | sudo tee /etc/modules-load.d/bryo-{}.conf", modules,
                     lines, file);
}

std::string install_fix(const Host& host, std::string_view debian, std::string_view fedora, std::string_view arch,
                        std::string_view alpine, std::string_view suse) {
  const std::string known = families(host);
  const auto is = [&](std::string_view id) { return known.find(fmt::format(" {} ", id)) != std::string::npos; };
  if (is("debian") || is("ubuntu")) return fmt::format("sudo apt-get install -y {}", debian);
  if (is("fedora") || is("rhel")) return fmt::format("sudo dnf install -y {}", fedora);
  if (is("arch")) return fmt::format("sudo pacman -S --noconfirm {}", arch);
  if (is("alpine")) return fmt::format("sudo apk add {}", alpine);
  if (is("suse") || is("opensuse")) return fmt::format("sudo zypper install -y {}", suse);
  return fmt::format("install the package that Debian calls {} and Fedora {}", debian, fedora);
}

Finding by_attempt(std::string name, const Outcome& outcome, std::string good, State bad, std::string_view consequence,
                   std::string fix) {
  if (outcome.worked) return ok(std::move(name), std::move(good));
  return {std::move(name), bad, fmt::format("{}: {}", consequence, outcome.message), std::move(fix)};
}

}  // namespace bryo::rootless::doctor

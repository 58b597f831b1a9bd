#include <algorithm>

#include "rootless/doctor/checks.hpp"
#include "rootless/doctor/judge.hpp"

namespace bryo::rootless::doctor {
namespace {

std::string subject(const Host& host) {
  switch (host.standing()) {
    case Standing::host_root:
      return "root of this machine";
    case Standing::namespace_root:
      return "root of a user namespace that somebody else made";
    case Standing::user:
      break;
  }
  return fmt::format("user \"{}\" ({})", host.user().name, host.user().uid);
}

// In the name of a profile and of its file.
bool is_plain(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') ||
         letter == '.' || letter == '_' || letter == '-' || letter == '+';
}

// A path as an AppArmor pattern between quotes that matches nothing else (apparmor.d(5), "Globbing").
std::string literal_pattern(const std::string& path) {
  std::string out;
  for (const char letter : path) {
    if (std::string_view("*?[]{}^\\\"@").find(letter) != std::string_view::npos) out += '\\';
    out += letter;
  }
  return out;
}

}  // namespace

Report examine(const Host& host) {
  using ids::IdKind;
  return {subject(host),
          {check_kernel(host),
           check_programs(host),
           check_user_namespaces(host),
           check_max_user_namespaces(host),
           check_unprivileged_clone(host),
           check_apparmor(host),
           check_no_new_privileges(host),
           check_subordinate(host, IdKind::user),
           check_subordinate(host, IdKind::group),
           check_map_program(host, IdKind::user),
           check_map_program(host, IdKind::group),
           check_mapped_namespace(host),
           check_userns_remap(host),
           check_data_filesystem(host),
           check_mount_options(host),
           check_overlay(host),
           check_idmapped_overlay(host),
           check_disk_space(host),
           check_selinux(host),
           check_bridge(host),
           check_nftables(host),
           check_tun(host),
           check_transparent_sockets(host),
           check_low_ports(host),
           check_ping(host),
           check_seccomp(host),
           check_cgroups(host),
           check_delegation(host),
           check_systemd(host),
           check_linger(host),
           check_runtime_directory(host),
           check_docker_socket(host),
           check_docker_client(host)}};
}

std::string apparmor_profile_path(const std::string& program_directory) {
  if (program_directory == "/usr/bin") return "/etc/apparmor.d/bryo";
  std::string name = program_directory.substr(std::min<std::size_t>(1, program_directory.size()));
  for (char& letter : name)
    if (letter == '/')
      letter = '.';
    else if (!is_plain(letter))
      letter = '_';
  return fmt::format("/etc/apparmor.d/{}.bryo", name);
}

std::string apparmor_profile(const std::string& program_directory) {
  return fmt::format(
      "# Lets Bryo's programs make user namespaces where AppArmor restricts them\n"
      "# (kernel.apparmor_restrict_unprivileged_userns), and restricts nothing else.\n"
      "abi <abi/4.0>,\n"
      "include <tunables/global>\n"
      "\n"
      "profile {} \"{}/{{bryod,bryo-host,bryo-monitor,bryo-oci,bryo-rootless}}\" flags=(unconfined) {{\n"
      "  userns,\n"
      "}}\n",
      program_directory == "/usr/bin" ? "bryo" : apparmor_profile_path(program_directory).substr(16),
      literal_pattern(program_directory));
}

}  // namespace bryo::rootless::doctor

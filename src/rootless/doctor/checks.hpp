// The checks: each a pure function of the host's facts, one for each prerequisite. `examine` is all of them, in the
// order in which a person would mend them.
#pragma once

#include "rootless/doctor/finding.hpp"
#include "rootless/doctor/host.hpp"

namespace bryo::rootless::doctor {

// checks_namespaces.cpp: becoming root in a user namespace
Finding check_user_namespaces(const Host& host);
Finding check_max_user_namespaces(const Host& host);
Finding check_unprivileged_clone(const Host& host);
Finding check_apparmor(const Host& host);
Finding check_no_new_privileges(const Host& host);
Finding check_subordinate(const Host& host, ids::IdKind kind);
Finding check_map_program(const Host& host, ids::IdKind kind);
Finding check_mapped_namespace(const Host& host);
Finding check_userns_remap(const Host& host);

// checks_storage.cpp
Finding check_data_filesystem(const Host& host);
Finding check_mount_options(const Host& host);
Finding check_overlay(const Host& host);
Finding check_idmapped_overlay(const Host& host);
Finding check_disk_space(const Host& host);
Finding check_selinux(const Host& host);

// checks_network.cpp
Finding check_tun(const Host& host);
Finding check_bridge(const Host& host);
Finding check_nftables(const Host& host);
Finding check_transparent_sockets(const Host& host);
Finding check_low_ports(const Host& host);
Finding check_ping(const Host& host);

// checks_session.cpp: cgroups, systemd, places, clients
Finding check_kernel(const Host& host);
Finding check_seccomp(const Host& host);
Finding check_cgroups(const Host& host);
Finding check_delegation(const Host& host);
Finding check_systemd(const Host& host);
Finding check_linger(const Host& host);
Finding check_runtime_directory(const Host& host);
Finding check_programs(const Host& host);
Finding check_docker_socket(const Host& host);
Finding check_docker_client(const Host& host);

Report examine(const Host& host);

// The profile that lets Bryo's programs in this directory make user namespaces where AppArmor restricts them
// (kernel.apparmor_restrict_unprivileged_userns of Ubuntu 23.10 and newer): the text, and where it belongs.
std::string apparmor_profile(const std::string& program_directory);
std::string apparmor_profile_path(const std::string& program_directory);

}  // namespace bryo::rootless::doctor

// features: what this runtime supports, as engines ask for it before they use it (OCI runtime spec, features.md).
#include "kernel/capabilities.hpp"
#include "runtime/command/context.hpp"

namespace bryo::runtime::command {
namespace {

// Sorted; words of the kernel's own file systems are among them.
json::Array mount_options() {
  return {"acl",
          "async",
          "atime",
          "bind",
          "defaults",
          "dev",
          "diratime",
          "dirsync",
          "exec",
          "idmap",
          "iversion",
          "lazytime",
          "loud",
          "mand",
          "noacl",
          "noatime",
          "nodev",
          "nodiratime",
          "noexec",
          "noiversion",
          "nolazytime",
          "nomand",
          "norelatime",
          "nostrictatime",
          "nosuid",
          "nosymfollow",
          "private",
          "ratime",
          "rbind",
          "rdev",
          "rdiratime",
          "relatime",
          "remount",
          "rexec",
          "ridmap",
          "rnoatime",
          "rnodev",
          "rnodiratime",
          "rnoexec",
          "rnorelatime",
          "rnostrictatime",
          "rnosuid",
          "rnosymfollow",
          "ro",
          "rprivate",
          "rrelatime",
          "rro",
          "rrw",
          "rshared",
          "rslave",
          "rstrictatime",
          "rsuid",
          "rsymfollow",
          "runbindable",
          "rw",
          "shared",
          "silent",
          "slave",
          "strictatime",
          "suid",
          "symfollow",
          "sync",
          "tmpcopyup",
          "unbindable"};
}

json::Object seccomp() {
  return {{"enabled", true},
          {"actions",
           json::Array{"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                       "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"}},
          {"knownFlags", json::Array{"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                                     "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"}},
          {"operators", json::Array{"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
                                    "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"}},
          {"archs",
           json::Array{"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"}}};
}

json::Object linux_features() {
  json::Array capabilities;
  for (unsigned i = 0; i < kernel::kKnownCapabilities; ++i) capabilities.emplace_back(kernel::capability_name(i));
  const json::Object enabled = {{"enabled", true}};
  json::Object out;
  out["namespaces"] = json::Array{"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"};
  out["capabilities"] = std::move(capabilities);
  out["cgroup"] = json::Object{{"v1", true}, {"v2", true}, {"systemd", true}, {"systemdUser", true}, {"rdma", true}};
  out["seccomp"] = seccomp();
  out["apparmor"] = enabled;
  out["selinux"] = enabled;
  out["intelRdt"] = enabled;
  out["mountExtensions"] = json::Object{{"idmap", enabled}};
  return out;
}

}  // namespace

int features_command(const Context&, std::span<const std::string> words) {
  Arguments::parse(words, {}).exactly(0, "features");
  json::Object features;
  features["ociVersionMin"] = "1.0.0";
  features["ociVersionMax"] = oci::kRuntimeSpecVersion;
  features["hooks"] =
      json::Array{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"};
  features["mountOptions"] = mount_options();
  features["linux"] = linux_features();
  features["annotations"] = json::Object{{"io.bryo.version", BRYO_VERSION}};
  fmt::print("{}\n", json::pretty(features));
  return 0;
}

}  // namespace bryo::runtime::command

#include <array>
#include <cerrno>

#include "base/strings.hpp"
#include "rootless/doctor/checks.hpp"
#include "rootless/doctor/judge.hpp"

namespace bryo::rootless::doctor {
namespace {

constexpr std::uint64_t kMegabyte = 1U << 20;
constexpr std::uint64_t kTooLittle = 64 * kMegabyte;
constexpr std::uint64_t kLittle = 2048 * kMegabyte;
constexpr std::uint64_t kFewInodes = 10000;

// File systems that keep no foreign owners, no whiteouts or no user.* attributes, by the start of their type.
constexpr std::array kUnfit = {"nfs",      "cifs",    "smb",   "gpfs", "fuse", "lustre", "ceph",
                               "ecryptfs", "overlay", "panfs", "afs",  "vfat", "9p",     "beegfs"};

bool unfit(const std::string& type) {
  for (const char* one : kUnfit)
    if (type.starts_with(one)) return true;
  return false;
}

std::string other_data_root(const Host& host) {
  const std::string place = fmt::format("/var/tmp/bryo-{}", host.user().name);
  const std::string config = ordinary(host) ? host.home() + "/.config/bryo" : "/etc/bryo";
  if (host.file(config + "/daemon.json"))
    return fmt::format("set \"data-root\": \"{}\" in {}/daemon.json", place, config);
  return fmt::format("mkdir -p {0} {1} && echo '{{\"data-root\": \"{0}\"}}' > {1}/daemon.json", place, config);
}

std::string remount_fix(const std::string& option, const std::string& directory) {
  return fmt::format("sudo mount -o remount,{} \"$(findmnt -no TARGET -T {})\"", option, directory);
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::uint64_t kGigabyte = 1024 * kMegabyte;
  if (bytes >= 10 * kGigabyte) return fmt::format("{} GiB", bytes / kGigabyte);
  return fmt::format("{} MiB", bytes / kMegabyte);
}

// What bryod takes instead of the kernel's overlay, and what would let it take something better.
struct Substitute {
  std::string consequence = "bryod will fall back to the storage driver vfs, which copies whole images";
  std::string fix;
};

Substitute instead_of_overlay(const Host& host) {
  constexpr const char* kDevice = "/dev/fuse";
  Substitute out;
  if (!ordinary(host)) return out;
  const auto device = host.file(kDevice);
  if (!host.find_program("fuse-overlayfs")) {
    out.consequence += "; fuse-overlayfs, which does not, is not installed";
    out.fix =
        install_fix(host, "fuse-overlayfs", "fuse-overlayfs", "fuse-overlayfs", "fuse-overlayfs", "fuse-overlayfs");
  } else if (!device) {
    out.consequence += fmt::format("; fuse-overlayfs, which does not, needs {}", kDevice);
    out.fix = modules_fix("fuse", "fuse");
  } else if (!host.writable(kDevice)) {
    out.consequence += fmt::format("; fuse-overlayfs, which does not, must be allowed to open {}", kDevice);
    out.fix = fmt::format("sudo chmod 0666 {}", kDevice);
  } else {
    out.consequence = "bryod will use fuse-overlayfs, which is slower";
  }
  return out;
}

}  // namespace

Finding check_data_filesystem(const Host& host) {
  const FilesystemFacts facts = host.filesystem(host.data_root());
  const std::string where = fmt::format("{} on {}", host.data_root(), facts.type);
  if (!unfit(facts.type)) return ok("data-filesystem", where);
  return warning("data-filesystem",
                 fmt::format("{}: {}; Bryo wants a local file system", where,
                             host.attempt(Attempt::overlay).worked ? "overlay works, but owners of files may get lost"
                                                                   : "overlay does not work there"),
                 other_data_root(host));
}

Finding check_mount_options(const Host& host) {
  const std::string name = "mount-options";
  const FilesystemFacts facts = host.filesystem(host.data_root());
  if (facts.read_only)
    return missing(name, fmt::format("{} is mounted read-only", facts.directory), remount_fix("rw", facts.directory));
  if (facts.noexec)
    return warning(name, fmt::format("{} is mounted noexec: programs in volumes do not start", facts.directory),
                   remount_fix("exec", facts.directory));
  if (facts.nosuid)
    return warning(name,
                   fmt::format("{} is mounted nosuid: set-uid programs in volumes have no effect", facts.directory),
                   remount_fix("suid", facts.directory));
  return ok(name, facts.nodev ? "nodev, which does no harm" : "no noexec, nosuid or nodev");
}

Finding check_overlay(const Host& host) {
  const Outcome& outcome = host.attempt(Attempt::overlay);
  const Substitute substitute = outcome.worked ? Substitute{} : instead_of_overlay(host);
  std::string fix = outcome.number == ENODEV ? modules_fix("overlay", "overlay") : other_data_root(host);
  if (!substitute.fix.empty()) fix += fmt::format("; or {}", substitute.fix);
  return by_attempt("overlay", outcome,
                    ordinary(host) ? "mounted one in a user namespace (userxattr), removed and replaced files in it"
                                   : "mounted one, removed and replaced files in it",
                    State::warning, substitute.consequence, std::move(fix));
}

Finding check_idmapped_overlay(const Host& host) {
  if (host.standing() != Standing::host_root) return not_applicable("idmapped-layers", "for root of the machine");
  return by_attempt("idmapped-layers", host.attempt(Attempt::idmapped_overlay),
                    "one copy of an image serves every id map", State::warning,
                    "images cannot be shown under another map (Linux 5.19 and ext4, xfs or btrfs can)", {});
}

Finding check_disk_space(const Host& host) {
  const std::string name = "disk-space";
  const FilesystemFacts facts = host.filesystem(host.data_root());
  const std::string free = fmt::format("{} free in {}", size_text(facts.free_bytes), facts.directory);
  const std::string fix = "bryo system prune --all";
  if (facts.free_bytes < kTooLittle) return missing(name, free + ": no room for an image", fix);
  if (facts.free_bytes < kLittle) return warning(name, free, fix);
  if (facts.counts_inodes && facts.free_inodes < kFewInodes)
    return warning(name, fmt::format("{}, but room for {} more files only", free, facts.free_inodes), fix);
  return ok(name, free);
}

Finding check_selinux(const Host& host) {
  const std::string name = "selinux";
  const auto enforcing = host.text("/sys/fs/selinux/enforce");
  if (!enforcing) return not_applicable(name, "not on this host");
  if (trim(*enforcing) == "0") return ok(name, "permissive");
  if (host.attempt(Attempt::overlay).worked)
    return ok(name, "enforcing, and lets overlays be mounted; containers get no label of their own");
  return warning(name, "enforcing, and an overlay cannot be mounted",
                 install_fix(host, "selinux-policy-default", "container-selinux", "container-selinux",
                             "container-selinux", "container-selinux"));
}

}  // namespace bryo::rootless::doctor

#include <algorithm>

#include "base/strings.hpp"
#include "rootless/doctor/checks.hpp"
#include "rootless/doctor/judge.hpp"

namespace bryo::rootless::doctor {
namespace {

constexpr std::uint64_t kExpectedIds = 65536;
constexpr std::uint64_t kFewNamespaces = 64;
constexpr const char* kMaxNamespaces = "/proc/sys/user/max_user_namespaces";
constexpr const char* kClone = "/proc/sys/kernel/unprivileged_userns_clone";
constexpr const char* kAppArmor = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";

struct KindWords {
  const char* file;     // and the name of the check
  const char* ids;      // in sentences
  const char* option;   // of usermod
  const char* program;  // that writes such maps
};
KindWords words(ids::IdKind kind) {
  if (kind == ids::IdKind::user) return {"subuid", "user", "subuids", "newuidmap"};
  return {"subgid", "group", "subgids", "newgidmap"};
}

// What lacks a namespace of its own: everything for a user, remapping for root.
State severity(const Host& host) { return ordinary(host) ? State::missing : State::warning; }

std::string range_text(std::uint64_t first, std::uint64_t count) {
  return fmt::format("{}-{}", first, first + count - 1);
}

std::uint64_t total(const std::vector<ids::SubRange>& ranges) {
  std::uint64_t sum = 0;
  for (const ids::SubRange& range : ranges) sum += range.count;
  return sum;
}

// For printf(1), without the comments.
// As the format of a printf(1) between single quotes.
std::string one_line(const std::string& profile) {
  std::string out;
  for (const std::string_view line : split(profile, '\n')) {
    if (line.empty() || line.starts_with('#')) continue;
    for (const char letter : line) {
      if (letter == '\'')
        out += "'\\''";
      else if (letter == '%' || letter == '\\')
        out.append(2, letter);
      else
        out += letter;
    }
    out += "\\n";
  }
  return out;
}

std::string add_range_fix(const KindWords& kind, const Host& host, const SubordinateFacts& facts) {
  return fmt::format("sudo usermod --add-{} {} {}", kind.option, range_text(facts.free_start, kExpectedIds),
                     host.user().name);
}

Finding overlap_finding(const Host& host, const KindWords& kind, const SubordinateFacts& facts) {
  std::string owners, removals;
  for (const ids::OwnedRange& other : facts.overlaps)
    owners += fmt::format("{}\"{}\" ({})", owners.empty() ? "" : ", ", printable(other.owner, 64),
                          range_text(ids::value(other.range.first), other.range.count));
  for (const ids::SubRange& own : facts.ranges)
    removals += fmt::format(" --del-{} {}", kind.option, range_text(ids::value(own.first), own.count));
  return warning(kind.file,
                 fmt::format("/etc/{} gives ids of yours to {} as well: whoever has them can change files of your "
                             "containers, and images have to be pulled again after this is mended",
                             kind.file, owners),
                 fmt::format("sudo usermod{} --add-{} {} {}", removals, kind.option,
                             range_text(facts.free_start, kExpectedIds), host.user().name));
}

Finding program_without_rights(const std::string& name, const std::string& path, const FileFacts& file) {
  const bool root = file.uid == 0;
  return missing(name, fmt::format("{} is not set-uid root and has no capability to set ids", path),
                 root ? fmt::format("sudo chmod u+s {}", path)
                      : fmt::format("sudo chown root:root {0} && sudo chmod u+s {0}", path));
}

}  // namespace

Finding check_user_namespaces(const Host& host) {
  return by_attempt("user-namespaces", host.attempt(Attempt::user_namespace), "made one", severity(host),
                    ordinary(host) ? "no user namespace can be made, and rootless containers are made of them"
                                   : "no user namespace can be made: --userns-remap and --userns=auto will not work",
                    {});
}

Finding check_max_user_namespaces(const Host& host) {
  const std::string name = "max-user-namespaces";
  const auto text = host.text(kMaxNamespaces);
  if (!text) return not_applicable(name, "this kernel has no such limit");
  const auto most = parse_integer<std::uint64_t>(trim(*text));
  if (!most) return warning(name, fmt::format("cannot tell: {} says \"{}\"", kMaxNamespaces, printable(*text, 40)));
  if (*most >= kFewNamespaces) return ok(name, fmt::format("{}", *most));
  const std::string fix = sysctl_fix("user.max_user_namespaces=28633");
  if (*most == 0) return {name, severity(host), "user.max_user_namespaces is 0: none can be made", fix};
  return warning(name, fmt::format("user.max_user_namespaces is only {}: containers beyond that will fail", *most),
                 fix);
}

Finding check_unprivileged_clone(const Host& host) {
  const std::string name = "unprivileged-userns-clone";
  const auto text = host.text(kClone);
  if (!text) return not_applicable(name, "this kernel has no such switch");
  if (!ordinary(host)) return not_applicable(name, "for users other than root");
  if (trim(*text) == "1") return ok(name, "1");
  return missing(name, "kernel.unprivileged_userns_clone is 0: only root can make user namespaces",
                 sysctl_fix("kernel.unprivileged_userns_clone=1"));
}

// The profile that confines this process, without its mode; empty where none does.
std::string confining_profile(const Host& host) {
  const std::string label(trim(host.text("/proc/self/attr/apparmor/current").value_or("")));
  return label.ends_with(" (enforce)") ? label.substr(0, label.rfind(' ')) : "";
}

Finding check_apparmor(const Host& host) {
  const std::string name = "apparmor";
  const auto text = host.text(kAppArmor);
  if (!ordinary(host)) return not_applicable(name, "for users other than root");
  const std::string profile = confining_profile(host);
  const bool restricts = text && trim(*text) != "0";
  if (!restricts && (profile.empty() || host.attempt(Attempt::user_namespace).number != EACCES)) {
    if (!text) return not_applicable(name, "AppArmor does not restrict user namespaces on this host");
    return ok(name, "does not restrict user namespaces");
  }
  const Outcome& made = host.attempt(Attempt::mapped_namespace);
  if (made.worked) return ok(name, "restricts user namespaces, and Bryo's programs are allowed to make them");
  const std::string path = apparmor_profile_path(host.program_directory());
  return missing(
      name,
      fmt::format("AppArmor lets only programs with a profile use user namespaces ({}), and the ones in {} "
                  "have none",
                  restricts ? "kernel.apparmor_restrict_unprivileged_userns"
                            : fmt::format("this session is under the profile \"{}\"", printable(profile, 80)),
                  host.program_directory()),
      fmt::format("printf '{0}' | sudo tee {1} >/dev/null && sudo apparmor_parser -r {1}",
                  one_line(apparmor_profile(host.program_directory())), path));
}

Finding check_no_new_privileges(const Host& host) {
  const std::string name = "no-new-privileges";
  if (!ordinary(host)) return not_applicable(name, "for users other than root");
  const auto status = host.text("/proc/self/status");
  if (!status) return warning(name, "cannot tell: /proc/self/status cannot be read");
  for (const std::string_view line : split(*status, '\n')) {
    if (!line.starts_with("NoNewPrivs:")) continue;
    if (trim(line.substr(line.find(':') + 1)) == "0") return ok(name, "not set");
    return missing(name, "this process runs with no_new_privs, and newuidmap has no power in it",
                   "start bryod from a login shell, or set NoNewPrivileges=no in the unit that starts it");
  }
  return not_applicable(name, "this kernel does not tell");
}

Finding check_subordinate(const Host& host, ids::IdKind kind) {
  const KindWords word = words(kind);
  if (!ordinary(host)) return not_applicable(word.file, "for users other than root");
  const SubordinateFacts facts = host.subordinate(kind, host.user());
  if (!facts.problem.empty()) return missing(word.file, facts.problem, fmt::format("sudoedit /etc/{}", word.file));
  if (facts.ranges.empty())
    return missing(
        word.file,
        fmt::format("user \"{}\" has no subordinate {} ids in /etc/{}", host.user().name, word.ids, word.file),
        add_range_fix(word, host, facts));
  if (!facts.overlaps.empty()) return overlap_finding(host, word, facts);
  const std::uint64_t have = total(facts.ranges);
  if (have < kExpectedIds)
    return warning(word.file,
                   fmt::format("only {} {} ids, and images expect {}: files with higher ids will not work", have,
                               word.ids, kExpectedIds),
                   add_range_fix(word, host, facts));
  return ok(word.file, fmt::format("{} ids, from {} on", have, ids::value(facts.ranges.front().first)));
}

Finding check_map_program(const Host& host, ids::IdKind kind) {
  const std::string name = words(kind).program;
  if (!ordinary(host)) return not_applicable(name, "for users other than root");
  const auto path = host.find_program(name);
  if (!path)
    return missing(name, "not installed",
                   install_fix(host, "uidmap", "shadow-utils", "shadow", "shadow-uidmap", "shadow"));
  const auto file = host.file(*path);
  if (!file) return warning(name, fmt::format("cannot tell: {} cannot be looked at", *path));
  const bool set_uid = (file->mode & 04000U) != 0 && file->uid == 0;
  if (!set_uid && !file->file_capabilities) return program_without_rights(name, *path, *file);
  if (host.filesystem(*path).nosuid)
    return missing(name, fmt::format("{} lies on a file system that is mounted nosuid", *path),
                   fmt::format("sudo mount -o remount,suid \"$(findmnt -no TARGET -T {})\"", *path));
  return ok(name, fmt::format("{}, {}", *path, set_uid ? "set-uid root" : "with file capabilities"));
}

Finding check_mapped_namespace(const Host& host) {
  if (!ordinary(host)) return not_applicable("id-maps", "for users other than root");
  return by_attempt("id-maps", host.attempt(Attempt::mapped_namespace),
                    "became root in a user namespace with all subordinate ids", State::missing,
                    "cannot become root in a user namespace", {});
}

Finding check_userns_remap(const Host& host) {
  const std::string name = "userns-remap";
  if (host.standing() != Standing::host_root) return not_applicable(name, "for root of the machine");
  const auto user = host.account("dockremap");
  if (!user) {
    if (host.find_program("useradd") || host.find_program("adduser"))
      return ok(name, "--userns-remap=default will add the user dockremap and its ids");
    return warning(name, "there is no user dockremap, and neither useradd nor adduser to add it",
                   install_fix(host, "passwd", "shadow-utils", "shadow", "shadow", "shadow"));
  }
  std::uint64_t least = UINT64_MAX;
  for (const ids::IdKind kind : {ids::IdKind::user, ids::IdKind::group}) {
    const SubordinateFacts facts = host.subordinate(kind, *user);
    if (!facts.problem.empty()) return warning(name, facts.problem, fmt::format("sudoedit /etc/{}", words(kind).file));
    if (!facts.overlaps.empty())
      return warning(name,
                     fmt::format("ids of dockremap in /etc/{} belong to \"{}\" as well", words(kind).file,
                                 printable(facts.overlaps.front().owner, 64)),
                     fmt::format("sudoedit /etc/{}", words(kind).file));
    least = std::min(least, total(facts.ranges));
  }
  if (least == 0) return ok(name, "--userns-remap=default will give the user dockremap its ids");
  return ok(name, fmt::format("user dockremap has {} ids", least));
}

}  // namespace bryo::rootless::doctor

#include <algorithm>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/strings.hpp"
#include "engine/spec_parts.hpp"

namespace bryo::engine {
namespace {

// Docker's profile format: the runtime spec's, plus conditions.
struct Condition {
  std::vector<std::string> caps;
  std::vector<std::string> arches;
  std::string min_kernel;
};

struct Argument {
  std::uint32_t index = 0;
  std::uint64_t value = 0;
  std::uint64_t value_two = 0;
  std::string op;
};

struct Rule {
  std::string name;
  std::vector<std::string> names;
  std::string action;
  std::optional<std::uint32_t> errno_ret;
  std::vector<Argument> args;
  Condition includes;
  Condition excludes;
};

struct ArchMap {
  std::string architecture;
  std::vector<std::string> sub_architectures;
};

struct Profile {
  std::string default_action;
  std::optional<std::uint32_t> default_errno_ret;
  std::vector<std::string> architectures;
  std::vector<ArchMap> arch_map;
  std::vector<std::string> flags;
  std::vector<Rule> syscalls;
};

}  // namespace
}  // namespace bryo::engine

namespace bryo::json {

template <>
struct Fields<engine::Condition> {
  using T = engine::Condition;
  static constexpr auto list =
      std::tuple{field("caps", &T::caps), field("arches", &T::arches), field("minKernel", &T::min_kernel)};
};
template <>
struct Fields<engine::Argument> {
  using T = engine::Argument;
  static constexpr auto list = std::tuple{field("index", &T::index), field("value", &T::value),
                                          field("valueTwo", &T::value_two), field("op", &T::op)};
};
template <>
struct Fields<engine::Rule> {
  using T = engine::Rule;
  static constexpr auto list =
      std::tuple{field("name", &T::name),          field("names", &T::names), field("action", &T::action),
                 field("errnoRet", &T::errno_ret), field("args", &T::args),   field("includes", &T::includes),
                 field("excludes", &T::excludes)};
};
template <>
struct Fields<engine::ArchMap> {
  using T = engine::ArchMap;
  static constexpr auto list =
      std::tuple{field("architecture", &T::architecture), field("subArchitectures", &T::sub_architectures)};
};
template <>
struct Fields<engine::Profile> {
  using T = engine::Profile;
  static constexpr auto list = std::tuple{field("defaultAction", &T::default_action),
                                          field("defaultErrnoRet", &T::default_errno_ret),
                                          field("architectures", &T::architectures),
                                          field("archMap", &T::arch_map),
                                          field("flags", &T::flags),
                                          field("syscalls", &T::syscalls)};
};

}  // namespace bryo::json

namespace bryo::engine {
namespace {

bool contains(const std::vector<std::string>& list, std::string_view wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

// "4.8" against 6018.
bool kernel_is_at_least(std::string_view version, std::uint32_t kernel) {
  const auto parts = split_once(version, '.');
  const auto first = parse_integer<std::uint32_t>(parts ? parts->first : version);
  const auto second = parts ? parse_integer<std::uint32_t>(parts->second.substr(0, parts->second.find('.'))) : 0U;
  if (!first || !second)
    fail(ErrorKind::invalid_argument, "seccomp profile: invalid minKernel \"{}\"", printable(version));
  return kernel >= *first * 1000 + *second;
}

bool applies(const Rule& rule, const std::vector<std::string>& capabilities, std::uint32_t kernel) {
  const auto holds = [&](const std::string& capability) { return contains(capabilities, capability); };
  if (!rule.includes.arches.empty() && !contains(rule.includes.arches, "amd64")) return false;
  if (contains(rule.excludes.arches, "amd64")) return false;
  if (!std::all_of(rule.includes.caps.begin(), rule.includes.caps.end(), holds)) return false;
  if (std::any_of(rule.excludes.caps.begin(), rule.excludes.caps.end(), holds)) return false;
  if (!rule.includes.min_kernel.empty() && !kernel_is_at_least(rule.includes.min_kernel, kernel)) return false;
  return rule.excludes.min_kernel.empty() || !kernel_is_at_least(rule.excludes.min_kernel, kernel);
}

bool truth(std::string_view key, std::string_view text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  fail(ErrorKind::invalid_argument, "invalid --security-opt: {}={}", key, printable(text));
}

// Docker also takes the old form with a colon. A single word has no value.
std::pair<std::string_view, std::string_view> key_and_value(std::string_view option) {
  const auto at = option.find_first_of("=:");
  if (at == std::string_view::npos) return {option, {}};
  return {option.substr(0, at), option.substr(at + 1)};
}

}  // namespace

bool is_nested(const HostConfig& host) {
  bool nested = false;
  for (const std::string& option : host.security_opt.value_or(std::vector<std::string>{})) {
    const auto [key, value] = key_and_value(option);
    if (key == kNestedOption) nested = value.empty() || truth(key, value);
  }
  return nested;
}

SecurityOptions parse_security_options(const HostConfig& host, bool no_new_privileges_default) {
  SecurityOptions out;
  out.no_new_privileges = no_new_privileges_default;
  out.unconfined = host.privileged;
  out.nested = is_nested(host);
  if (!host.security_opt) return out;
  for (const std::string& option : *host.security_opt) {
    const auto [key, value] = key_and_value(option);
    if (key == "no-new-privileges") {
      out.no_new_privileges = value.empty() || truth(key, value);
    } else if (key == "seccomp") {
      // CVE-2023-2431: an empty profile is an error, never "none".
      if (trim(value).empty()) fail(ErrorKind::invalid_argument, "invalid --security-opt: seccomp profile is empty");
      out.unconfined = value == "unconfined";
      if (!out.unconfined && value != "builtin") out.seccomp_profile = value;
    } else if (key == "apparmor") {
      out.apparmor = value;
    } else if (key != kNestedOption && key != "label" && key != "systempaths" && key != "writable-cgroups") {
      fail(ErrorKind::invalid_argument, "invalid --security-opt 1: \"{}\"", printable(option));
    }
  }
  return out;
}

oci::LinuxSeccomp parse_seccomp_profile(std::string_view text, const std::vector<std::string>& capabilities,
                                        std::uint32_t kernel) {
  Profile profile;
  try {
    profile = json::decode<Profile>(json::parse(text));
  } catch (const Error& error) {
    throw error.within("decode seccomp profile");
  }
  if (profile.default_action.empty())
    fail(ErrorKind::invalid_argument, "decode seccomp profile: defaultAction is missing");
  oci::LinuxSeccomp out;
  out.default_action = profile.default_action;
  out.default_errno_ret = profile.default_errno_ret;
  out.flags = profile.flags;
  out.architectures = profile.architectures;
  for (const ArchMap& map : profile.arch_map) {
    if (map.architecture != "SCMP_ARCH_X86_64") continue;
    out.architectures.push_back(map.architecture);
    out.architectures.insert(out.architectures.end(), map.sub_architectures.begin(), map.sub_architectures.end());
  }
  for (Rule& rule : profile.syscalls) {
    if (!applies(rule, capabilities, kernel)) continue;
    oci::LinuxSyscall call;
    call.names = std::move(rule.names);
    if (!rule.name.empty()) call.names.push_back(rule.name);
    call.action = rule.action;
    call.errno_ret = rule.errno_ret;
    for (const Argument& argument : rule.args)
      call.args.push_back({argument.index, argument.value, argument.value_two, argument.op});
    out.syscalls.push_back(std::move(call));
  }
  return out;
}

}  // namespace bryo::engine

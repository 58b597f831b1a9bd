#include "runtime/launch_inputs.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/capabilities.hpp"
#include "kernel/raw.hpp"
#include "kernel/rlimits.hpp"

namespace bryo::runtime {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  // execve wants char*, and promises not to write.
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

ChildInputs::ChildInputs(const ProcessPlan& process, const ChildStdio& stdio, const CgroupPlacement& cgroup,
                         std::span<const int> preserved)
    : arguments_(pointers(process.arguments)),
      environment_(pointers(process.environment)),
      cgroup_procs_(cgroup.procs),
      preserved_(preserved.begin(), preserved.end()) {
  find_candidates(process);
  take_stdio(process, stdio);
  if (!process.limits.empty()) clamp_limits(process);
  context_.limits = limits_;
  context_.process = &process;
  context_.arguments = arguments_.data();
  context_.environment = environment_.data();
  context_.candidates = candidates_;
  context_.cgroup_procs = cgroup_procs_;
  context_.preserved = preserved_;
  keep_.insert(keep_.end(), cgroup_procs_.begin(), cgroup_procs_.end());
  keep_.insert(keep_.end(), preserved_.begin(), preserved_.end());
}

// As execvp: the container's own PATH; an empty entry is the working directory.
void ChildInputs::find_candidates(const ProcessPlan& process) {
  const std::string& name = process.arguments.front();
  if (name.empty() || name.find('/') != std::string::npos) return;
  for (const std::string& variable : process.environment) {
    if (!variable.starts_with("PATH=")) continue;
    for (const std::string_view directory : split(std::string_view(variable).substr(5), ':'))
      candidate_texts_.push_back(fmt::format("{}/{}", directory.empty() ? "." : directory, name));
    // The first PATH counts, as for getenv.
    break;
  }
  for (const std::string& text : candidate_texts_) candidates_.push_back(text.c_str());
}

void ChildInputs::take_stdio(const ProcessPlan& process, const ChildStdio& stdio) {
  if (process.terminal) return;
  int* out = context_.stdio;
  out[0] = stdio.in;
  out[1] = stdio.out;
  out[2] = stdio.err;
  for (int i = 0; i < 3; ++i) {
    if (out[i] < 0 && !null_device_) {
      null_device_ = UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
      if (!null_device_) fail_errno("open /dev/null");
    }
    if (out[i] < 0) out[i] = null_device_.get();
    keep_.push_back(out[i]);
  }
}

void ChildInputs::take_hooks(const std::vector<HookProgram>& hooks, std::vector<child::HookToRun>& out) {
  for (const HookProgram& hook : hooks) {
    char* const* const words = hook_words_.emplace_back(pointers(hook.arguments)).data();
    char* const* const variables = hook_words_.emplace_back(pointers(hook.environment)).data();
    out.push_back({hook.path.c_str(), words, variables, hook.timeout.value_or(-1)});
  }
}

void ChildInputs::take_hooks(const LaunchHooks& hooks) {
  take_hooks(hooks.create_container, create_hooks_);
  take_hooks(hooks.start_container, start_hooks_);
  context_.create_hooks = create_hooks_;
  context_.start_hooks = start_hooks_;
  context_.create_state = hooks.create_state;
  context_.start_state = hooks.start_state;
  for (const int fd : {hooks.create_state, hooks.start_state, hooks.cover})
    if (fd >= 0) keep_.push_back(fd);
  context_.pause_for_hooks = true;
  context_.root_path = hooks.root_path.empty() ? nullptr : hooks.root_path.c_str();
  context_.cover_path = hooks.cover_path.c_str();
  context_.cover = hooks.cover;
  context_.root_must_show = hooks.root_must_show;
}

child::ChildContext& ChildInputs::ready() {
  std::ranges::sort(keep_);
  context_.keep = keep_;
  return context_;
}

void own_pipes(const ChildStdio& stdio, std::uint32_t host_uid) {
  for (const int fd : {stdio.in, stdio.out, stdio.err}) {
    struct stat info = {};
    if (fd < 0 || ::fstat(fd, &info) != 0 || !S_ISFIFO(info.st_mode) || info.st_uid == host_uid) continue;
    // A pipe that is somebody else's stays as it is; the program can still use the descriptor.
    if (::fchown(fd, host_uid, static_cast<gid_t>(-1)) != 0) continue;
  }
}

void ChildInputs::clamp_limits(const ProcessPlan& process) {
  limits_ = process.limits;
  for (ResourceLimit& limit : limits_) {
    const std::uint64_t most = kernel::attainable_limit(limit.resource, limit.hard);
    if (most == limit.hard) continue;
    warnings_.push_back(fmt::format("{}: the hard limit {} is above {}, the most that the kernel lets us give",
                                    kernel::resource_name(limit.resource), limit.hard, most));
    limit.hard = most;
    limit.soft = std::min(limit.soft, limit.hard);
  }
}

void ChildInputs::raise_limits(pid_t pid) const {
  for (const ResourceLimit& limit : limits_) {
    const kernel::ResourceLimits now = kernel::own_limits(limit.resource);
    if (limit.hard <= now.hard) continue;
    const struct rlimit64 raised = {now.soft, limit.hard};
    if (const int result = kernel::raw::set_limit(pid, limit.resource, raised); result < 0)
      throw Error::from_errno(-result,
                              fmt::format("raise {} to {}", kernel::resource_name(limit.resource), limit.hard));
  }
}

void set_oom_score(pid_t pid, const ProcessPlan& process, std::vector<std::string>& warnings) {
  if (!process.oom_score_adj) return;
  const std::string path = fmt::format("/proc/{}/oom_score_adj", pid);
  const std::string text = std::to_string(*process.oom_score_adj);
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) return;
  warnings.push_back(Error::from_errno(errno, fmt::format("set oom_score_adj to {}", text)).message());
}

bool may_set_groups_here() {
  const UniqueFd file(::open("/proc/self/setgroups", O_RDONLY | O_CLOEXEC));
  std::array<char, 8> text{};
  return !file || ::read(file.get(), text.data(), text.size()) < 4 || std::string_view(text.data(), 4) != "deny";
}

std::uint32_t host_id(const std::string& map, std::uint32_t inside) {
  if (map.empty()) return inside;
  for (const std::string_view line : split(map, '\n')) {
    std::uint64_t number[3] = {};
    std::size_t count = 0;
    for (const std::string_view word : split(line, ' ')) {
      if (word.empty() || count >= 3) continue;
      number[count++] = parse_integer<std::uint64_t>(word).value_or(0);
    }
    if (count == 3 && inside >= number[0] && inside - number[0] < number[2])
      return static_cast<std::uint32_t>(number[1] + (inside - number[0]));
  }
  return UINT32_MAX;
}

bool maps_root(const MapTexts& maps) {
  return !maps.empty() && host_id(maps.uid, 0) != UINT32_MAX && host_id(maps.gid, 0) != UINT32_MAX;
}

}  // namespace bryo::runtime

// Walks the plan's list.
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "kernel/raw.hpp"
#include "runtime/child.hpp"

namespace bryo::runtime::child {
namespace {

namespace raw = kernel::raw;

void set_sysctl(ChildContext& context, const SetSysctl& step) noexcept {
  FixedText<512> path;
  path.add("sys/").add(step.path.c_str());
  const int result = write_proc(context, path.c_str(), step.value.data(), step.value.size());
  if (result < 0) context.link.fail(-result, {"write sysctl ", step.path.c_str(), " = ", step.value.c_str()});
}

void set_time_offset(ChildContext& context, const SetTimeOffset& step) noexcept {
  FixedText<128> text;
  text.add(step.clock.c_str()).add(" ");
  if (step.seconds < 0) text.add("-");
  text.add_number(step.seconds < 0 ? ~static_cast<std::uint64_t>(step.seconds) + 1
                                   : static_cast<std::uint64_t>(step.seconds));
  text.add(" ").add_number(step.nanoseconds).add("\n");
  const int result = write_own_proc(context, "timens_offsets", text.c_str(), text.size());
  if (result < 0) context.link.fail(-result, {"set time offset ", text.c_str()});
}

void raise_loopback(ChildContext& context) noexcept {
  const long fd = raw::call(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  context.link.check(static_cast<int>(fd), {"socket"});
  struct ifreq request = {};
  std::memcpy(request.ifr_name, "lo", 3);
  long result = raw::call(SYS_ioctl, fd, SIOCGIFFLAGS, &request);
  if (result == 0 && (request.ifr_flags & IFF_UP) == 0) {
    request.ifr_flags |= IFF_UP;
    result = raw::call(SYS_ioctl, fd, SIOCSIFFLAGS, &request);
  }
  context.link.check(static_cast<int>(result), {"set interface lo up"});
  raw::close(static_cast<int>(fd));
}

void set_name(ChildContext& context, long call, const std::string& name, const char* what) noexcept {
  context.link.check(static_cast<int>(raw::call(call, name.data(), name.size())), {what, name.c_str()});
}

struct Runner {
  ChildContext& context;

  void operator()(const AttachRoot&) const noexcept { attach_root(context); }
  void operator()(const EnterRoot& step) const noexcept { enter_root(context, step); }
  void operator()(const AttachSource& step) const noexcept { attach_source(context, step); }
  void operator()(const MountFilesystem& step) const noexcept { mount_filesystem(context, step); }
  void operator()(const ChangeMount& step) const noexcept { change_mount(context, step); }
  void operator()(const MaskPath& step) const noexcept { mask_path(context, step); }
  void operator()(const ReadOnlyPath& step) const noexcept { read_only_path(context, step); }
  void operator()(const MakeLink& step) const noexcept { make_link(context, step); }
  void operator()(const MakeNode& step) const noexcept { make_node(context, step); }
  void operator()(const SetSysctl& step) const noexcept { set_sysctl(context, step); }
  void operator()(const SetHostname& step) const noexcept {
    set_name(context, SYS_sethostname, step.name, "set hostname ");
  }
  void operator()(const SetDomainname& step) const noexcept {
    set_name(context, SYS_setdomainname, step.name, "set domain name ");
  }
  void operator()(const SetTimeOffset& step) const noexcept { set_time_offset(context, step); }
  void operator()(const RaiseLoopback&) const noexcept { raise_loopback(context); }
  void operator()(const RootReadOnly&) const noexcept { root_read_only(context); }
  void operator()(const OpenTerminal&) const noexcept { open_terminal(context, true); }
};

// std::visit may throw; this may not.
template <std::size_t I = 0>
void dispatch(const Runner& run, const Step& step) noexcept {
  if constexpr (I < std::variant_size_v<Step>) {
    if (step.index() == I)
      run(*std::get_if<I>(&step));
    else
      dispatch<I + 1>(run, step);
  }
}

// Needs nothing but the namespaces: done while the launcher is still making mounts.
bool is_early(const Step& step) noexcept {
  return std::holds_alternative<RaiseLoopback>(step) || std::holds_alternative<SetHostname>(step) ||
         std::holds_alternative<SetDomainname>(step);
}

// From here on nothing more is mounted, and the root may become read-only.
bool is_final(const Step& step) noexcept {
  return std::holds_alternative<RootReadOnly>(step) || std::holds_alternative<EnterRoot>(step);
}

}  // namespace

void run_early_steps(ChildContext& context) noexcept {
  const Runner run{context};
  context.step = 0;
  for (const Step& step : context.plan->steps) {
    if (is_early(step)) dispatch(run, step);
    if (const auto* mount = std::get_if<MountFilesystem>(&step)) make_filesystem_early(context, *mount);
    ++context.step;
  }
}

void run_steps(ChildContext& context) noexcept {
  const Runner run{context};
  context.step = 0;
  for (const Step& step : context.plan->steps) {
    if (context.pause_for_hooks && is_final(step)) run_create_hooks(context);
    if (!is_early(step)) dispatch(run, step);
    ++context.step;
  }
  // A container that joined a mount namespace has no root to enter.
  if (context.pause_for_hooks) run_create_hooks(context);
}

}  // namespace bryo::runtime::child

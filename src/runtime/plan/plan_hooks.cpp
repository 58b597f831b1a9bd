// hooks.*: as programs (config.md, "POSIX-platform Hooks").
#include "base/strings.hpp"
#include "runtime/plan/plan_builder.hpp"

namespace bryo::runtime {
namespace {

constexpr int kMaxTimeout = 1'000'000;

void check_text(const std::string& text, const char* kind, std::size_t index, const char* field) {
  if (text.find('\0') != std::string::npos)
    fail(ErrorKind::invalid_argument, "hooks.{}[{}].{}: {} has a zero byte", kind, index, field, printable(text));
}

void check_hook(const oci::Hook& hook, const char* kind, std::size_t index) {
  if (!hook.path.starts_with('/') || hook.path.find('\0') != std::string::npos)
    fail(ErrorKind::invalid_argument, "hooks.{}[{}].path: {} is not an absolute path", kind, index,
         printable(hook.path));
  for (const std::string& word : hook.args) check_text(word, kind, index, "args");
  for (const std::string& variable : hook.env) check_text(variable, kind, index, "env");
  if (hook.timeout && (*hook.timeout <= 0 || *hook.timeout > kMaxTimeout))
    fail(ErrorKind::invalid_argument, "hooks.{}[{}].timeout: {} is not a number of seconds above 0", kind, index,
         *hook.timeout);
}

std::vector<HookProgram> programs_of(const std::vector<oci::Hook>& hooks, const char* kind) {
  std::vector<HookProgram> out;
  for (const oci::Hook& hook : hooks) {
    check_hook(hook, kind, out.size());
    out.push_back(
        {hook.path, hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args, hook.env, hook.timeout});
  }
  return out;
}

}  // namespace

HookSet hooks_of(const oci::RuntimeSpec& spec) {
  if (!spec.hooks) return {};
  return {programs_of(spec.hooks->prestart, "prestart"),
          programs_of(spec.hooks->create_runtime, "createRuntime"),
          programs_of(spec.hooks->create_container, "createContainer"),
          programs_of(spec.hooks->start_container, "startContainer"),
          programs_of(spec.hooks->poststart, "poststart"),
          programs_of(spec.hooks->poststop, "poststop")};
}

}  // namespace bryo::runtime

// Finding the program and becoming it. Texts are what Docker's clients know: `exec: "x": executable file not found in
// $PATH`.
#include "kernel/raw.hpp"
#include "runtime/child.hpp"

namespace bryo::runtime::child {
namespace {

namespace raw = kernel::raw;

constexpr unsigned kNotFound = 127;
constexpr unsigned kNotExecutable = 126;

struct Finding {
  int error = 0;
  bool from_stat = false;
};

// With the program's user, not ours: effective capabilities are gone for a user other than root.
Finding look_at(const char* path) noexcept {
  struct stat info = {};
  if (::stat(path, &info) != 0) return {errno, true};
  if (S_ISDIR(info.st_mode)) return {EISDIR, false};
  if ((info.st_mode & 0111U) == 0) return {EACCES, false};
  const long result = raw::call(SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS);
  return {static_cast<int>(-result), false};
}

bool has_slash(const char* name) noexcept {
  while (*name != '\0')
    if (*name++ == '/') return true;
  return false;
}

}  // namespace

const char* reason_of(int error) noexcept {
  switch (error) {
    case ENOENT:
      return "no such file or directory";
    case EACCES:
      return "permission denied";
    case EPERM:
      return "operation not permitted";
    case EISDIR:
      return "is a directory";
    case ENOTDIR:
      return "not a directory";
    case ENOEXEC:
      return "exec format error";
    case ELOOP:
      return "too many levels of symbolic links";
    case ENAMETOOLONG:
      return "file name too long";
    case E2BIG:
      return "argument list too long";
    case ETXTBSY:
      return "text file busy";
    case ENOMEM:
      return "cannot allocate memory";
    case ELIBBAD:
      return "accessing a corrupted shared library";
    default:
      return "cannot be executed";
  }
}

unsigned exit_code_of(int error) noexcept {
  return error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG ? kNotFound : kNotExecutable;
}

void find_program(ChildContext& context) noexcept {
  const char* name = context.arguments[0];
  if (has_slash(name)) {
    const Finding finding = look_at(name);
    if (finding.error != 0 && finding.from_stat)
      context.link.cannot_run(finding.error, exit_code_of(finding.error),
                              {"exec: \"", name, "\": stat ", name, ": ", reason_of(finding.error)});
    if (finding.error != 0)
      context.link.cannot_run(finding.error, exit_code_of(finding.error),
                              {"exec: \"", name, "\": ", reason_of(finding.error)});
    context.program = name;
    return;
  }
  for (const char* candidate : context.candidates) {
    if (look_at(candidate).error != 0) continue;
    context.program = candidate;
    return;
  }
  context.link.cannot_run(ENOENT, kNotFound, {"exec: \"", name, "\": executable file not found in $PATH"});
}

void execute(ChildContext& context) noexcept {
  context.link.send(ReportKind::running);
  const long result = raw::call(SYS_execve, context.program, context.arguments, context.environment);
  const int error = static_cast<int>(-result);
  const std::string& label = context.process->selinux_label;
  if (!label.empty() && (error == EACCES || error == EPERM))
    context.link.cannot_run(error, exit_code_of(error),
                            {"exec ", context.program, ": ", reason_of(error), " under the SELinux label ",
                             label.c_str(), " (what the policy refused: ausearch -m avc)"});
  context.link.cannot_run(error, exit_code_of(error), {"exec ", context.program, ": ", reason_of(error)});
}

}  // namespace bryo::runtime::child

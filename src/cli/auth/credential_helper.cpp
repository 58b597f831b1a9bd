#include "cli/auth/credential_helper.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/unique_fd.hpp"
#include "cli/format/json_text.hpp"

extern char** environ;

namespace bryo::cli {
namespace {

constexpr std::size_t kMaxAnswer = 1 << 20;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail_errno("make a pipe");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::string program_of(const std::string& helper) {
  for (const char c : helper) {
    const bool plain =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
    if (!plain) fail(ErrorKind::invalid_argument, "credential helper \"{}\": not a plain name", printable(helper));
  }
  return "docker-credential-" + helper;
}

pid_t spawn(const std::string& program, const std::string& action, int in, int out) {
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
  std::string name = program;
  std::string verb = action;
  std::array<char*, 3> arguments = {name.data(), verb.data(), nullptr};
  pid_t pid = 0;
  const int problem = ::posix_spawnp(&pid, program.c_str(), &files, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&files);
  if (problem != 0)
    throw Error::from_errno(problem, fmt::format("error getting credentials: start {}", program))
        .within("credential helper");
  return pid;
}

struct Answer {
  bool succeeded = false;
  std::string text;
};

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> block;
  while (text.size() < kMaxAnswer) {
    const ssize_t got = ::read(fd, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(block.data(), static_cast<std::size_t>(got));
  }
  return text;
}

Answer run(const std::string& helper, const std::string& action, std::string_view input) {
  Pipe to = make_pipe();
  Pipe from = make_pipe();
  const pid_t pid = spawn(program_of(helper), action, to.read.get(), from.write.get());
  to.read.reset();
  from.write.reset();
  // What a helper is given (a server's name, one set of credentials) fits a pipe's buffer. A helper that exits without
  // reading must not kill us.
  const auto previous = ::signal(SIGPIPE, SIG_IGN);
  const ssize_t sent = ::write(to.write.get(), input.data(), input.size());
  ::signal(SIGPIPE, previous);
  (void)sent;
  to.write.reset();
  Answer answer;
  answer.text = read_all(from.read.get());
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  answer.succeeded = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return answer;
}

[[noreturn]] void refuse(const std::string& helper, const Answer& answer) {
  fail(ErrorKind::unavailable, "credential helper docker-credential-{} failed: {}", helper,
       printable(trim(answer.text)));
}

}  // namespace

Credentials helper_get(const std::string& helper, const std::string& registry) {
  const Answer answer = run(helper, "get", registry);
  if (!answer.succeeded) {
    if (answer.text.find("credentials not found") != std::string::npos) return {};
    refuse(helper, answer);
  }
  const json::Value value = json::parse(answer.text);
  const auto field = [&](const char* name) -> std::string {
    const json::Value* found = value.is_object() ? value.get_object().if_contains(name) : nullptr;
    return found != nullptr && found->is_string() ? found->get_string().c_str() : "";
  };
  Credentials out{field("Username"), field("Secret"), {}};
  // By convention of the helpers' protocol the secret of this user is a token.
  if (out.username == "<token>") out = {{}, {}, out.password};
  return out;
}

void helper_store(const std::string& helper, const std::string& registry, const Credentials& credentials) {
  const bool token = !credentials.identity_token.empty();
  const json::Object input{{"ServerURL", registry},
                           {"Username", token ? "<token>" : credentials.username},
                           {"Secret", token ? credentials.identity_token : credentials.password}};
  const Answer answer = run(helper, "store", compact_json(input));
  if (!answer.succeeded) refuse(helper, answer);
}

void helper_erase(const std::string& helper, const std::string& registry) {
  const Answer answer = run(helper, "erase", registry);
  if (!answer.succeeded && answer.text.find("not found") == std::string::npos) refuse(helper, answer);
}

}  // namespace bryo::cli

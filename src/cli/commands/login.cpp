#include <unistd.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/auth/registry_auth.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/escape.hpp"
#include "cli/terminal/terminal_mode.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {
    {"password", 'p', &kText, "", "Password or access token"},
    {"password-stdin", 0, &kFlag, "", "Read the password from standard input"},
    {"username", 'u', &kText, "", "User name"},
};

std::string ask(Context& context, std::string_view prompt, bool hidden) {
  if (::isatty(STDIN_FILENO) != 1)
    fail(ErrorKind::invalid_argument, "Error: Cannot perform an interactive login from a non TTY device");
  context.out.write(prompt);
  context.out.flush();
  std::optional<std::string> line;
  {
    std::optional<TerminalMode> quiet;
    if (hidden) quiet.emplace(TerminalMode::without_echo(STDIN_FILENO));
    line = read_line();
  }
  if (hidden) context.out.write("\n");
  if (!line || line->empty())
    fail(ErrorKind::invalid_argument, "Error: Non-null {} Required", hidden ? "Password" : "Username");
  return *line;
}

std::string password_from_input() {
  std::string text;
  while (const auto line = read_line()) {
    if (!text.empty()) text += '\n';
    text += *line;
  }
  return text;
}

Credentials typed_credentials(Context& context, const Arguments& arguments) {
  Credentials out;
  out.username = std::string(trim(arguments.text("username")));
  out.password = arguments.text("password");
  if (arguments.given("password")) {
    context.err.print(
        "WARNING! --password shows the password to everyone who can list processes. Use --password-stdin.\n");
    context.err.flush();
    if (arguments.flag("password-stdin"))
      fail(ErrorKind::invalid_argument, "conflicting options: cannot specify both --password and --password-stdin");
  }
  if (arguments.flag("password-stdin")) {
    if (out.username.empty())
      fail(ErrorKind::invalid_argument, "the --password-stdin option requires --username to be set");
    out.password = password_from_input();
  }
  return out;
}

int run_login(Context& context, const Arguments& arguments) {
  const std::string server = registry_key(arguments.words().empty() ? std::string() : arguments.words()[0]);
  Credentials credentials = typed_credentials(context, arguments);
  if (credentials.empty()) {
    credentials = context.config().credentials(server);
    if (!credentials.empty()) context.out.print("Authenticating with existing credentials...\n");
  }
  if (credentials.username.empty() && credentials.identity_token.empty())
    credentials.username = ask(context, "Username: ", false);
  if (credentials.password.empty() && credentials.identity_token.empty())
    credentials.password = ask(context, "Password: ", true);
  json::Object body{{"username", credentials.username}, {"password", credentials.password}, {"serveraddress", server}};
  if (!credentials.identity_token.empty()) body["identitytoken"] = credentials.identity_token;
  const json::Value answer = context.client().post("/auth", body).json();
  if (const std::string token = text_at(answer, "IdentityToken"); !token.empty()) {
    credentials.password.clear();
    credentials.identity_token = token;
  }
  ConfigFile& config = context.config();
  if (config.helper_for(server).empty())
    context.err.print(
        "WARNING! Your credentials are kept unencrypted in '{}'; a credential helper would keep them safely.\n",
        config.path());
  config.store(server, credentials);
  context.err.flush();
  if (const std::string status = text_at(answer, "Status"); !status.empty())
    context.out.print("{}\n", terminal_safe(status));
  return 0;
}

int run_logout(Context& context, const Arguments& arguments) {
  const std::string server = registry_key(arguments.words().empty() ? std::string() : arguments.words()[0]);
  context.out.print("Removing login credentials for {}\n", terminal_safe(server));
  context.config().erase(server);
  return 0;
}

}  // namespace

const Command kLogin = {.names = "login",
                        .usage = "[OPTIONS] [SERVER]",
                        .summary = "Log in to a registry",
                        .options = kRows,
                        .maximum = 1,
                        .run = run_login};
const Command kLogout = {
    .names = "logout", .usage = "[SERVER]", .summary = "Log out of a registry", .maximum = 1, .run = run_logout};

}  // namespace bryo::cli

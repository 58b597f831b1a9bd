#include "cli/commands/context.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {
    {"config", 0, &kText, "", "Directory of the client's configuration", "\"~/.docker\""},
    {"context", 'c', &kText, "", "Accepted for compatibility; only \"default\" is known"},
    {"debug", 'D', &kFlag, "", "Say more"},
    {"host", 'H', &kList, "", "Where the daemon listens (unix://PATH, tcp://HOST:PORT)"},
    {"log-level", 'l', &kText, "", "Level of messages: debug, info, warn, error, fatal", "\"info\""},
    {"tls", 0, &kFlag, "", "Use TLS; implied by --tlsverify"},
    {"tlscacert", 0, &kText, "", "Trust certificates signed by this CA only", "\"~/.docker/ca.pem\""},
    {"tlscert", 0, &kText, "", "Client certificate", "\"~/.docker/cert.pem\""},
    {"tlskey", 0, &kText, "", "Key of the client certificate", "\"~/.docker/key.pem\""},
    {"tlsverify", 0, &kFlag, "", "Use TLS and check the daemon's certificate"},
    {"version", 'v', &kFlag, "", "Print the version and leave"},
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_socket(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
}

std::string existing(const std::string& path) { return ::access(path.c_str(), R_OK) == 0 ? path : std::string(); }

}  // namespace

const OptionTable kGlobalOptions = kRows;

Context::Context(const Arguments& global) : out(STDOUT_FILENO), err(STDERR_FILENO), global_(global) {
  const std::string context = global.text("context", environment("DOCKER_CONTEXT"));
  if (!context.empty() && context != "default" && !global.given("host"))
    fail(ErrorKind::not_found, "context \"{}\": context not found: bryo knows only \"default\"; use -H or DOCKER_HOST",
         printable(context));
}

ConfigFile& Context::config() {
  if (!config_) config_ = ConfigFile::load(global_.text("config", ConfigFile::default_directory()));
  return *config_;
}

// -H, then BRYO_HOST, then DOCKER_HOST; else the first socket that exists: bryod's, bryod's for this user, Docker's.
Endpoint Context::choose_endpoint() const {
  std::string host = global_.text("host");
  for (const char* variable : {"BRYO_HOST", "DOCKER_HOST"})
    if (host.empty()) host = environment(variable);
  if (!host.empty()) return Endpoint::parse(host);
  const std::string own = "/run/bryo/bryo.sock";
  const std::string runtime = environment("XDG_RUNTIME_DIR");
  if (is_socket(own)) return Endpoint::parse("unix://" + own);
  if (!runtime.empty())
    for (const char* file : {"/bryo/bryo.sock", "/bryo.sock", "/docker.sock"})
      if (is_socket(runtime + file)) return Endpoint::parse("unix://" + runtime + file);
  return Endpoint::parse(is_socket("/var/run/docker.sock") ? "unix:///var/run/docker.sock" : "unix://" + own);
}

TlsOptions Context::choose_tls() const {
  TlsOptions tls;
  tls.verify = global_.flag("tlsverify", !environment("DOCKER_TLS_VERIFY").empty());
  tls.enabled = tls.verify || global_.flag("tls", !environment("DOCKER_TLS").empty());
  if (!tls.enabled) return tls;
  std::string directory = environment("DOCKER_CERT_PATH");
  if (directory.empty()) directory = global_.text("config", ConfigFile::default_directory());
  tls.ca = global_.text("tlscacert", tls.verify ? existing(directory + "/ca.pem") : "");
  tls.certificate = global_.text("tlscert", existing(directory + "/cert.pem"));
  tls.key = global_.text("tlskey", existing(directory + "/key.pem"));
  return tls;
}

Client& Context::client() {
  if (!client_) {
    Client::Config config{choose_endpoint(), choose_tls(), this->config().http_headers(), std::nullopt};
    const std::string version = environment("DOCKER_API_VERSION");
    if (version.starts_with("1.")) config.forced_minor = parse_integer<int>(std::string_view(version).substr(2));
    client_.emplace(std::move(config));
  }
  return *client_;
}

}  // namespace bryo::cli

#include "api/daemon/daemon.hpp"

#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <thread>

#include "api/activation.hpp"
#include "api/daemon/options.hpp"
#include "api/daemon/pidfile.hpp"
#include "api/daemon/rootless_home.hpp"
#include "api/listen.hpp"
#include "api/routes.hpp"
#include "api/server.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "engine/engine.hpp"
#include "kernel/capabilities.hpp"
#include "network/ports.hpp"
#include "rootless/user_namespace.hpp"

namespace bryo::daemon {
namespace {

void check_privileges() {
  if ((kernel::effective_capabilities() & kernel::capability_bit(*kernel::capability_number("CAP_SYS_ADMIN"))) == 0)
    fail(ErrorKind::permission,
         "bryod needs the capability CAP_SYS_ADMIN, which this process does not have: start it on the host, or in a "
         "container that was given --privileged");
}

// One heap (threads have caches of their own before it) and no growing thresholds: freed memory goes back to the system
// (private memory is a goal of the project).
void tune_process() {
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
  ::mallopt(M_TRIM_THRESHOLD, 256 << 10);
  ::signal(SIGPIPE, SIG_IGN);
  ::umask(022);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, 1 << 20);
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
}

void apply_log_level(const DaemonOptions& options) {
  log::set_level(options.engine.debug ? log::Level::debug : log::parse_level(options.log_level));
}

// libcurl reads them; set before there is a second thread.
void export_proxies(const DaemonOptions& options) {
  const std::pair<const char*, const std::string&> proxies[] = {
      {"http_proxy", options.http_proxy}, {"https_proxy", options.https_proxy}, {"no_proxy", options.no_proxy}};
  for (const auto& [name, value] : proxies)
    if (!value.empty()) ::setenv(name, value.c_str(), 1);
}

void warn_about_open_tcp(const api::Endpoint& endpoint, const DaemonOptions& options) {
  if (endpoint.kind != api::Endpoint::Kind::tcp || options.tls_verify) return;
  log::warning(
      "Binding to IP address {} without --tlsverify is insecure and gives root access on this machine to "
      "everyone who has access to your network.",
      endpoint.str());
}

struct Doors {
  std::vector<api::Listener> listeners;
  std::vector<std::unique_ptr<api::SocketFile>> files;

  void add(api::Opened opened) {
    for (api::Listener& listener : opened.listeners) listeners.push_back(std::move(listener));
    if (opened.file) files.push_back(std::move(opened.file));
  }
};

// Docker's well-known socket is ours unless another daemon answers there or it cannot be made.
void add_docker_socket(Doors& doors, const Places& places, gid_t group) {
  try {
    doors.add(api::open_endpoint(api::Endpoint::parse(places.docker_socket, false), group, false));
  } catch (const Error& error) {
    log::warning("{}; going on without it: clients reach this engine with DOCKER_HOST=unix://{}", error.message(),
                 places.own_socket);
  }
}

Doors open_doors(const DaemonOptions& options) {
  // A user's socket is the user's alone.
  const gid_t group = options.engine.rootless && options.group.empty() ? ::getegid() : api::socket_group(options.group);
  Doors doors;
  for (const std::string& host :
       options.hosts.empty() ? std::vector<std::string>{options.places.own_socket} : options.hosts) {
    const auto endpoint = api::Endpoint::parse(host, options.tls);
    warn_about_open_tcp(endpoint, options);
    doors.add(api::open_endpoint(endpoint, group, options.tls));
  }
  if (options.hosts.empty()) add_docker_socket(doors, options.places, group);
  return doors;
}

// tcp:// sockets of a daemon without root are the host's.
void on_host_network(const DaemonOptions& options, const std::function<void()>& errand) {
  if (options.engine.rootless && options.engine.rootless->outside)
    options.engine.rootless->outside->run(errand);
  else
    errand();
}

api::ServerOptions server_options(const DaemonOptions& options) {
  api::ServerOptions out;
  out.allowed_hosts = options.allowed_hosts;
  out.experimental = options.engine.experimental;
  return out;
}

void reload(const std::vector<std::string>& arguments, engine::Engine& engine) {
  try {
    const DaemonOptions options = load_options(arguments);
    log::info("Got signal to reload configuration, reloading from: {}", options.config_file);
    apply_log_level(options);
    engine.reload(options.engine);
    log::info("Reloaded configuration");
  } catch (const std::exception& error) {
    log::error("could not reload the configuration, the old one stays: {}", error.what());
  }
}

// The third signal ends the process at once, for who cannot wait.
void watch_signals(api::Server& server, engine::Engine& engine, const std::vector<std::string>& arguments) {
  server.on_signals({SIGTERM, SIGINT, SIGQUIT}, [&server, count = 0](int number) mutable {
    log::info("Processing signal '{}'", to_lower(::sigdescr_np(number)));
    if (++count == 3) ::_exit(128 + number);
    api::notify_manager("STOPPING=1");
    server.stop();
  });
  // Its own thread, since the loop must not block; a second signal waits for the first.
  server.on_signals({SIGHUP}, [&engine, arguments, thread = std::make_shared<std::jthread>()](int) {
    *thread = std::jthread([&engine, arguments] { reload(arguments, engine); });
  });
}

// A .socket unit with FileDescriptorName=publish binds ports that we may not bind ourselves.
std::vector<std::shared_ptr<const network::InheritedPort>> inherited_ports() {
  std::vector<std::shared_ptr<const network::InheritedPort>> out;
  for (UniqueFd& socket : api::take_publish_sockets()) {
    out.push_back(std::make_shared<network::InheritedPort>(network::InheritedPort::inspect(std::move(socket))));
    log::info("Port {}/{} was handed over for publishing", out.back()->host.with_port(out.back()->port),
              network::to_string(out.back()->protocol));
  }
  return out;
}

void serve(const DaemonOptions& options, const std::vector<std::string>& arguments) {
  std::optional<Pidfile> pidfile;
  if (!options.pidfile.empty()) pidfile.emplace(options.pidfile);
  Doors doors;
  on_host_network(options, [&] { doors = open_doors(options); });
  engine::Options engine_options = options.engine;
  engine_options.inherited_ports = inherited_ports();
  engine::Engine engine(std::move(engine_options));
  log::info("Loading containers: start.");
  engine.restore();
  log::info("Loading containers: done.");

  api::Router router;
  api::add_routes(router, engine);
  api::Server server(std::move(router), server_options(options));
  if (options.tls)
    server.use_tls({options.tls_authority, options.tls_certificate, options.tls_key, options.tls_verify});
  watch_signals(server, engine, arguments);
  log::info("Bryo daemon version={} api={} data-root={}", BRYO_VERSION, api::kNewestApi.str(),
            options.engine.data_root);
  log::info("Daemon has completed initialization");
  for (api::Listener& listener : doors.listeners) {
    log::info("API listen on {}", listener.name);
    server.listen(std::move(listener));
  }
  api::notify_manager("READY=1");
  server.run();

  doors.files.clear();
  engine.shutdown();
  log::info("Daemon shutdown complete");
  if (server.connections() == 0) return;
  // A handler is still inside the engine: nothing may be destroyed under it, and the store needs no farewell.
  pidfile.reset();
  ::_exit(0);
}

// They would keep systemd from starting this unit again: no process can enter a cgroup whose children have controllers.
void end_containers_that_block_the_unit(engine::Options& options) {
  if (!options.live_restore || !options.rootless->cgroups || !options.rootless->cgroups->blocks_its_unit()) return;
  options.live_restore = false;
  log::warning(
      "Containers end with this engine: their cgroups are in its own unit, which systemd could not start again beside "
      "them. They live on when the unit has DelegateSubgroup=bryo-leaf (systemd 254), or with a systemd of the user's "
      "(loginctl enable-linger)");
}

}  // namespace

int run_daemon(const std::vector<std::string>& arguments) {
  DaemonOptions options = load_options(arguments);
  if (options.help || options.version) {
    std::fputs(options.help ? help_text().c_str() : "Bryo version " BRYO_VERSION "\n", stdout);
    return 0;
  }
  if (options.validate) {
    std::fputs("configuration OK\n", stdout);
    return 0;
  }
  apply_log_level(options);
  if (rootless::standing() == rootless::Standing::user) become_namespace_root(options.engine.exec_root, arguments);
  check_privileges();
  tune_process();
  log::info("Starting up");
  for (const std::string& warning : options.warnings) log::warning("{}", warning);
  export_proxies(options);
  if (rootless::standing() == rootless::Standing::host_root) {
    serve(options, arguments);
    return 0;
  }
  ::prctl(PR_SET_NAME, "bryod");  // it was started as /proc/self/exe
  RootlessHome home(options.engine.exec_root, options.user_network);
  options.engine.rootless = home.facts();
  end_containers_that_block_the_unit(options.engine);
  serve(options, arguments);
  return 0;
}

}  // namespace bryo::daemon

#include "registry/client.hpp"

#include <mutex>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "registry/registry_error.hpp"
#include "registry/repository_state.hpp"

namespace bryo::registry {

namespace {

constexpr std::string_view kHubDomain = "docker.io";

// "https://index.docker.io/v1/" → "docker.io", "https://example.com:5000/v2/" → "example.com:5000"
std::string domain_of(std::string_view server_address) {
  std::string_view rest = server_address;
  if (const auto scheme = rest.find("://"); scheme != std::string_view::npos) rest = rest.substr(scheme + 3);
  rest = rest.substr(0, rest.find('/'));
  if (rest.empty() || rest == "index.docker.io" || rest == "registry-1.docker.io") return std::string(kHubDomain);
  return std::string(rest);
}

std::vector<std::string> scopes_of(const RepositoryRequest& request) {
  std::vector<std::string> scopes{"repository:" + request.path + (request.push ? ":pull,push" : ":pull")};
  for (const std::string& path : request.also_pull) scopes.push_back("repository:" + path + ":pull");
  return scopes;
}

}  // namespace

// What a reload replaces as a whole; operations under way hold on to theirs.
struct Client::Impl {
  struct Current {
    RegistryOptions options;
    std::shared_ptr<HttpClient> http;
    std::shared_ptr<const EndpointTable> table;
  };

  static Current make(RegistryOptions options) {
    auto table = std::make_shared<const EndpointTable>(options);
    auto http = std::make_shared<HttpClient>(options);
    return {std::move(options), std::move(http), std::move(table)};
  }
  Current get() {
    const std::lock_guard lock(mutex);
    return current;
  }
  Session::Setup session_setup(const Current& now, Endpoint endpoint) const {
    Session::Setup setup;
    setup.http = now.http.get();
    setup.table = now.table.get();
    setup.options = now.options;
    setup.endpoint = std::move(endpoint);
    return setup;
  }

  std::mutex mutex;
  Current current;  // guarded by mutex
};

Client::Client(RegistryOptions options) : impl_(std::make_shared<Impl>()) { reload(std::move(options)); }
Client::~Client() = default;

void Client::reload(RegistryOptions options) {
  auto made = Impl::make(std::move(options));
  const std::lock_guard lock(impl_->mutex);
  impl_->current = std::move(made);
}

json::Value Client::describe() const { return impl_->get().table->describe(); }

Repository Client::repository(RepositoryRequest request) {
  const auto now = impl_->get();
  auto state = std::make_unique<Repository::State>();
  state->options = now.options;
  state->http = now.http;
  state->table = now.table;
  for (Endpoint& endpoint : now.table->endpoints(request.domain, request.push)) {
    Session::Setup setup = impl_->session_setup(now, std::move(endpoint));
    setup.credentials = request.credentials;
    setup.scopes = scopes_of(request);
    setup.cancelled = request.cancelled;
    state->sessions.push_back(std::make_unique<Session>(std::move(setup)));
  }
  state->request = std::move(request);
  return Repository(std::move(state));
}

LoginResult Client::login(const Credentials& credentials, const Cancelled& cancelled) {
  const auto now = impl_->get();
  LoginResult result;
  std::exception_ptr failure;
  for (Endpoint& endpoint : now.table->endpoints(domain_of(credentials.server_address), true)) {
    Session::Setup setup = impl_->session_setup(now, std::move(endpoint));
    setup.credentials = credentials;
    setup.want_refresh_token = true;
    setup.cancelled = cancelled;
    Session session(std::move(setup));
    try {
      SessionRequest request;
      request.url = session.at("/v2/");
      const auto response = session.send(request);
      if (response->status() != 200) throw registry_error(*response, "Get \"" + request.url.printable() + "\"");
      result.identity_token = session.refresh_token();
      return result;
    } catch (const TransportError&) {
      failure = std::current_exception();
    }
  }
  std::rethrow_exception(failure);
}

}  // namespace bryo::registry

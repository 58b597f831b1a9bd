// What the parts of Repository share. Private to registry/.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "registry/client.hpp"
#include "registry/session.hpp"

namespace bryo::registry {

struct Repository::State {
  RepositoryRequest request;
  RegistryOptions options;
  std::shared_ptr<HttpClient> http;
  std::shared_ptr<const EndpointTable> table;
  std::vector<std::unique_ptr<Session>> sessions;  // in order of preference
  std::mutex mutex;
  std::size_t preferred = 0;  // guarded by mutex: the one that answered last

  std::string path(std::string_view rest) const { return "/v2/" + request.path + std::string(rest); }
  // All sessions, the one that answered last first.
  std::vector<Session*> ordered();
  void prefer(const Session& session);
  // Runs `call` on one session after the other until one does not throw. On to the next goes what could not be reached,
  // and what a mirror refused.
  void on_each(const std::function<void(Session&)>& call);
};

}  // namespace bryo::registry

// The Engine API as a caller sees it: paths without version prefix, answers as text, JSON, streams or raw connections.
//
// The first request negotiates the version: the older of ours and the one in the daemon's /_ping. An answer of 400 and
// above is thrown as Error "Error response from daemon: …", its text made safe for terminals. Connections are kept and
// reused. Used by one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "cli/http/connection.hpp"

namespace bryo::cli {

class Client;

// An answer being read. Its connection goes back to the client when the body has been read to its end.
class Answer {
 public:
  Answer(Client& client, std::unique_ptr<Connection> connection, Head head)
      : client_(&client), connection_(std::move(connection)), head_(std::move(head)) {}
  Answer(Answer&&) noexcept = default;
  Answer& operator=(Answer&&) noexcept = default;
  ~Answer();

  int status() const { return head_.status; }
  std::string_view header(std::string_view lower_name) const { return head_.header(lower_name); }
  // 0 at the end.
  std::size_t read(std::span<char> into);
  // The whole body; throws Error{exhausted} above the bound.
  std::string text();
  // null for an empty body.
  json::Value json();
  // The raw stream of an upgraded connection.
  std::unique_ptr<Connection> hijack() { return std::move(connection_); }
  const Connection& connection() const { return *connection_; }

 private:
  Client* client_;
  std::unique_ptr<Connection> connection_;
  Head head_;
};

// A request whose answer is still to be read.
struct Pending {
  std::unique_ptr<Connection> connection;
};

inline constexpr int kNewestMinor = 47;  // API 1.47
inline constexpr int kOldestMinor = 24;

class Client {
 public:
  struct Config {
    Endpoint endpoint;
    TlsOptions tls;
    std::vector<std::pair<std::string, std::string>> headers;  // HttpHeaders of config.json
    std::optional<int> forced_minor;                           // DOCKER_API_VERSION
  };
  explicit Client(Config config) : config_(std::move(config)) {}

  // Minor of the version spoken with the daemon: 47 for 1.47.
  int minor();
  // Throws Error{unsupported} `"--x" requires API version 1.42, but the Docker daemon API version is 1.41`.
  void require(int minor_needed, std::string_view what);
  const Endpoint& endpoint() const { return config_.endpoint; }
  // Headers of the daemon's /_ping answer: Docker-Experimental, Ostype …
  const Head& ping();

  // `request.target` starts below the version: "/containers/json".
  Answer send(Request request);
  // The same without turning 4xx and 5xx into Errors.
  Answer send_unchecked(Request request);
  // The two halves of send(), for several requests at the same time.
  Pending begin(Request request);
  Answer finish(Pending pending);
  Answer get(std::string target);
  Answer post(std::string target);
  Answer post(std::string target, const json::Value& body);
  Answer remove(std::string target);
  Answer remove(std::string target, const json::Value& body);

 private:
  friend class Answer;
  static Answer checked(Answer answer);
  std::unique_ptr<Connection> take_connection();
  void give_back(std::unique_ptr<Connection> connection);

  Config config_;
  std::vector<std::unique_ptr<Connection>> idle_;
  std::optional<Head> ping_;
  int minor_ = 0;
};

}  // namespace bryo::cli

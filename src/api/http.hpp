// What a handler gets and gives: one request and one reply, with no word of sockets, threads or Asio.
//
// A handler is a plain function that may block; it runs on a pool thread (or, when its route says so, on the event
// loop, and then it must not block). It throws bryo::Error, which the server turns into a status and
// {"message": …}. The Request lives until the reply's last byte is out, so producers may refer to it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "api/query.hpp"
#include "api/version.hpp"
#include "base/bytes.hpp"
#include "base/json.hpp"
#include "base/unique_fd.hpp"

namespace bryo::api {

enum class Method { get, head, post, put, del, other };

// Names are compared without regard to case; order is kept.
class Headers {
 public:
  void add(std::string name, std::string value) { items_.emplace_back(std::move(name), std::move(value)); }
  const std::string* find(std::string_view name) const;
  // Empty when absent.
  const std::string& get(std::string_view name) const;
  // Does a comma-separated value hold this word, as in "Connection: keep-alive, Upgrade"?
  bool has_token(std::string_view name, std::string_view word) const;
  std::size_t count(std::string_view name) const;
  std::size_t size() const { return items_.size(); }
  const std::vector<std::pair<std::string, std::string>>& items() const { return items_; }

 private:
  std::vector<std::pair<std::string, std::string>> items_;
};

// Who is at the other end: SO_PEERCRED of a unix socket; -1 for a caller over TCP.
struct Peer {
  bool local = false;
  bool tls = false;
  std::int64_t uid = -1;
  std::int64_t gid = -1;
};

struct Request {
  Method method = Method::other;
  std::string verb;    // as sent: "GET"
  std::string target;  // as sent, with version and query
  std::string path;    // decoded, without version: "/containers/web/json"
  Query query;
  ApiVersion version = kNewestApi;
  Headers headers;
  std::vector<std::pair<std::string, std::string>> parameters;  // {name} of the route's pattern
  std::string body;                                             // routes that take it whole
  ByteSource* stream = nullptr;  // routes that stream it: read() blocks; throws Error{cancelled} when the client goes
  Peer peer;
  bool upgrade = false;                                  // sent "Connection: Upgrade"
  std::shared_ptr<const std::atomic<bool>> client_gone;  // set from the event loop, never unset

  const std::string& parameter(std::string_view name) const;
  bool older_than(unsigned minor) const { return version < ApiVersion{1, minor}; }
  bool cancelled() const { return client_gone && client_gone->load(std::memory_order_relaxed); }
};

// The 8 bytes before a piece of standard output in Docker's multiplexed streams.
std::string output_frame_head(std::size_t size);

// Where a producer writes the body. write() blocks while the client reads slowly and throws Error{cancelled} once the
// client has gone. The status line and headers leave with the first byte, so an error before it is a plain error reply.
class BodyWriter : public ByteSink {
 public:
  using ByteSink::write;
  // Only before the first write.
  virtual void header(std::string name, std::string value) = 0;
  // Lets the status line and headers go now, before there is a body.
  virtual void start() = 0;
  virtual bool gone() const = 0;
  // Much is written and not yet read by the client: a good moment to leave out what is not needed.
  virtual bool backlogged() const = 0;
};

class Reply {
 public:
  // What a stream does with an error after its first byte: Docker's progress streams say it in a JSON line, byte
  // streams break the connection so that nobody takes half for the whole.
  enum class OnError { json_line, abort };
  using Producer = std::function<void(BodyWriter&)>;
  // Called with the text of the body, once, from any thread.
  using Done = std::function<void(std::string)>;
  // Registers `done`; what it returns is destroyed when the reply is complete or the client has gone.
  using Begin = std::function<std::shared_ptr<void>(Done done)>;

  struct Stream {
    Producer producer;
    OnError on_error;
  };
  struct Relay {
    UniqueFd fd;
  };
  struct Hijack {
    UniqueFd fd;
    std::string detach_keys;
    // Every piece leaves as a frame of standard output (Docker's stdcopy): the client did not say that it has a
    // terminal, though the process has one.
    bool framed = false;
    // What the stream's end means to its client has happened, too (an exec's exit code can be asked for); asked on the
    // event loop when the engine's side has ended, so it must not block.
    std::function<bool()> settled;
    // The client has typed its detach keys; on the event loop, too.
    std::function<void()> detached;
  };
  struct Later {
    Begin begin;
    bool headers_first;
  };

  static Reply empty(int status);
  static Reply text(int status, std::string content_type, std::string body);
  // With a final newline, as Go's encoder writes.
  static Reply json(int status, const json::Value& value);
  template <typename T>
  static Reply json_of(int status, const T& value) {
    return json(status, json::encode(value));
  }
  // The producer runs on the same pool thread, after the handler has returned.
  static Reply stream(std::string content_type, OnError on_error, Producer producer);
  // Copies the descriptor (pipe or socket) to the client until end of file, every piece at once.
  static Reply relay(std::string content_type, UniqueFd fd);
  // 101 (200 for clients that did not ask to upgrade), then raw bytes both ways; each side's end of file is passed on.
  // When the client sends the bytes of detach_keys (none when empty), its connection ends.
  static Reply hijack(std::string content_type, UniqueFd fd, std::string detach_keys = "");
  // `begin` runs on the handler's thread. headers_first: the status line leaves as soon as begin has returned.
  static Reply later(std::string content_type, bool headers_first, Begin begin);

  Reply& with(std::string name, std::string value) & {
    headers.add(std::move(name), std::move(value));
    return *this;
  }
  Reply&& with(std::string name, std::string value) && {
    headers.add(std::move(name), std::move(value));
    return std::move(*this);
  }

  int status = 200;
  std::string content_type;
  Headers headers;
  std::variant<std::string, Stream, Relay, Hijack, Later> body;
};

using Handler = std::function<Reply(Request&)>;

}  // namespace bryo::api

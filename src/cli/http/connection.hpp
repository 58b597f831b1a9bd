// One HTTP connection: a request goes out, its answer is read, and the connection can serve the next one, or becomes a
// raw stream (attach, exec). A request body that comes from a source is sent while the answer is being read, so neither
// side can block the other. Used by one thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "cli/http/message.hpp"
#include "cli/http/transport.hpp"

namespace bryo::cli {

class Connection {
 public:
  Connection(std::unique_ptr<Transport> transport, std::string authority)
      : transport_(std::move(transport)), authority_(std::move(authority)) {}

  // Sends the request (all of it, but for a source) and returns the head of the answer.
  Head exchange(const Request& request) {
    begin(request);
    return finish();
  }
  // The two halves of it: several connections can have a request under way at the same time.
  void begin(const Request& request);
  Head finish();

  // Next bytes of the answer's body; 0 at its end. Throws Error{unavailable} when it is cut short.
  std::size_t read(std::span<char> into);
  // Sends what is left of the source's body.
  void finish_upload();
  // True when the answer has been read whole and the connection may be used again.
  bool reusable() const { return body_ == Body::none && keep_alive_ && !source_ && output_.empty(); }

  // After 101, or after a 200 that Docker's older daemons send for "Upgrade": bytes in both directions.
  std::optional<std::size_t> try_read_raw(std::span<char> into);
  std::optional<std::size_t> try_write_raw(std::string_view bytes) { return transport_->try_write(bytes); }
  void finish_writing() { transport_->finish_writing(); }

  int fd() const { return transport_->fd(); }
  // Something can be read without waiting for fd().
  bool buffered() const { return !input_.empty() || transport_->buffered(); }

 private:
  enum class Body { none, length, chunked, until_close };

  Head read_head();
  void choose_body(const Head& head);
  bool fill();
  void push_source();
  std::size_t take_input(std::span<char> into, std::size_t limit);
  std::size_t read_chunked(std::span<char> into);
  std::size_t read_length(std::span<char> into);

  std::unique_ptr<Transport> transport_;
  std::string authority_;
  std::string input_;   // received, not yet used
  std::string output_;  // of the source's body: framed, not yet sent
  BodySource source_;
  bool upgrade_ = false;  // of the request under way
  bool bodyless_ = false;
  Body body_ = Body::none;
  bool keep_alive_ = true;
  std::uint64_t left_ = 0;
  ChunkDecoder chunks_;
};

}  // namespace bryo::cli

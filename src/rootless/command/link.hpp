// What the processes of one bryo-rootless say to each other, over socket pairs (SOCK_SEQPACKET): a word, a text, and
// descriptors. The other end's death is the end of the file.
//
// Processes: the parent (host's namespaces; the person's own child), the child (root in the new namespaces; runs the
// command), the helper (the child's user and network namespace, the host's files; runs the user-mode network and the
// forwards of published ports).
//
//   parent → child    mapped              the id maps are written
//   child  → parent   standing            all namespaces are made; descriptor: the network namespace of the command
//   parent → child    connected  <dns>    the network works; an address, or nothing
//   child  → parent   prepared            mounts are done
//   parent → child    run                 the state directory is complete
//   parent → child    signal  <number>    for the command; any time after
//
//   helper → parent   network  <JSON>     UserNetworkFacts, or {} without a network
//   parent → helper   add  <JSON>         a Forward (helper.hpp); descriptor: the listening socket
//   parent → helper   remove  <id>
//   helper → parent   done                the answer to each
//
//   any → parent      error  <text>       in place of an answer
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::rootless::command {

struct Message {
  std::string word;
  std::string text;
  UniqueFd descriptor;
};

class Link {
 public:
  Link() = default;
  explicit Link(UniqueFd socket) : socket_(std::move(socket)) {}
  // Two ends.
  static std::pair<Link, Link> make();

  int socket() const { return socket_.get(); }
  explicit operator bool() const { return static_cast<bool>(socket_); }

  // Error{unavailable} when the other end is gone.
  void send(std::string_view word, std::string_view text = {}, int descriptor = -1) const;
  // The same without a word when it is gone.
  void try_send(std::string_view word, std::string_view text = {}) const noexcept;
  // Waits. nullopt: the other end is gone.
  std::optional<Message> receive() const;
  // The message with this word. An "error" is thrown; so is another word, and Error{unavailable} at the end, which
  // names `who`.
  Message expect(std::string_view word, std::string_view who) const;

 private:
  UniqueFd socket_;
};

}  // namespace bryo::rootless::command

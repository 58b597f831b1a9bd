// The monitor's end of the control protocol: the first connection (inherited), the path socket for the next bryod, and
// the queue of what a slow bryod has not taken yet.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "monitor/event_loop.hpp"
#include "monitor/packet.hpp"

namespace bryo::monitor {

struct Answer {
  std::string payload;
  std::vector<UniqueFd> descriptors;
  bool later = false;  // not now: by ControlServer::answer()
};

// A request of a certain connection.
struct Ticket {
  std::uint32_t connection = 0;
  std::uint32_t request = 0;
};

class ControlHandler {
 public:
  // Throws Error: the failure is sent.
  virtual Answer on_request(MessageType type, Packet& packet) = 0;
  // The answer has been sent (or queued).
  virtual void on_answered(MessageType type) = 0;
  // Nobody is connected any more.
  virtual void on_disconnected() = 0;

 protected:
  ~ControlHandler() = default;
};

class ControlServer final : EventHandler {
 public:
  ControlServer(EventLoop& loop, UniqueFd connection, ControlHandler& handler);
  ~ControlServer();

  // Binds control.sock in the directory (0700, ours: checked). Throws Error.
  void listen(const std::string& runtime_directory);
  Ticket ticket(const Packet& packet) const { return {generation_, packet.header.request}; }
  // Nobody is told when that connection is not there any more.
  void answer(const Ticket& ticket, Answer answer);
  void send_event(MessageType type, const std::string& payload);
  bool connected() const { return static_cast<bool>(connection_); }
  // Without telling the handler; nobody can connect any more either.
  void shut_down();

 private:
  struct Queued {
    MessageType type;
    std::uint32_t request;
    Answer answer;
  };
  struct Listener final : EventHandler {
    explicit Listener(ControlServer& server) : owner(server) {}
    void on_events(std::uint32_t) override { owner.accept(); }
    ControlServer& owner;
  };

  void on_events(std::uint32_t events) override;
  void accept();
  void serve(Packet& packet);
  void send(MessageType type, std::uint32_t request, Answer answer);
  void send_queued();
  void disconnect();
  void watch();

  EventLoop& loop_;
  UniqueFd connection_;
  std::uint32_t generation_ = 0;  // of the connection
  ControlHandler& handler_;
  UniqueFd listening_;
  Listener listener_{*this};
  Timer retry_;
  std::deque<Queued> queue_;
};

}  // namespace bryo::monitor

// bryod's end of one control connection: numbers requests, matches answers, passes events on. Requests come from any
// thread and wait; packets are read by the hub's thread only.
#pragma once

#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"
#include "monitor/hub.hpp"
#include "monitor/packet.hpp"

namespace bryo::monitor {

class MonitorConnection {
 public:
  // Silent at first: its exit and its end are no news to the listener.
  MonitorConnection(std::string container_id, UniqueFd socket);

  const std::string& container_id() const { return container_id_; }
  int descriptor() const { return socket_.get(); }

  // Sends now, answers later. Throws Error{unavailable} when the monitor is gone or close() was called. `announces`:
  // with a good answer to this one, the connection is silent no more.
  std::future<Packet> submit(MessageType type, std::string_view payload, std::span<const int> descriptors,
                             bool announces = false);
  // Submits and waits. Rethrows what the monitor answered; Error{unavailable} after the deadline.
  Packet call(MessageType type, std::string_view payload, std::span<const int> descriptors = {},
              std::chrono::seconds patience = std::chrono::seconds(10), bool announces = false);
  Packet wait(std::future<Packet>& answer, MessageType type, std::chrono::seconds patience) const;

  // Until the announcing answer has come, answers have so much more time.
  void wait_longer(std::chrono::seconds more) { more_ = more; }

  // The answers to the requests of spawn(), which did not wait for them.
  void expect_launch(std::future<Packet> created, std::vector<std::future<Packet>> ports);
  // Waits for them once; later calls see the same outcome.
  void wait_launched();
  UniqueFd take_network_namespace();

  // Acknowledges the container's end; nothing more is sent, and the end of the connection is no news.
  void close();
  bool closed();
  // The other end is gone: no answer will come any more.
  bool has_ended();
  // Nothing is news any more.
  void silence();
  // Makes the hub's thread see the end of the connection.
  void hang_up();

  // --- the hub's thread ---
  // False when the connection has ended.
  bool receive(MonitorListener& listener);
  // After the end: fails what waits, tells the listener unless silent.
  void ended(MonitorListener& listener);

 private:
  void dispatch(Packet packet, MonitorListener& listener);

  const std::string container_id_;
  const UniqueFd socket_;
  std::atomic<std::chrono::seconds> more_{std::chrono::seconds(0)};
  std::mutex mutex_;
  // Guarded by mutex_:
  std::map<std::uint32_t, std::promise<Packet>> waiting_;
  std::uint32_t next_request_ = 1;
  std::uint32_t announcing_request_ = 0;
  bool ended_ = false;
  bool closed_ = false;
  bool silent_ = true;
  bool exit_reported_ = false;

  std::mutex launch_mutex_;
  // Guarded by launch_mutex_:
  std::future<Packet> launch_;
  std::vector<std::future<Packet>> launch_ports_;
  std::exception_ptr launch_failure_;
  UniqueFd network_namespace_;
};

}  // namespace bryo::monitor

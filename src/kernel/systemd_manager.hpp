// systemd's manager, asked over D-Bus: units that are made for as long as they are needed. org.freedesktop.systemd1(5);
// systemd's "The New Control Group Interfaces".
#pragma once

#include <sys/types.h>

#include <deque>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "kernel/bus_message.hpp"

namespace bryo::kernel {

// Whether the caller's units are those of a user's own manager: an ordinary user, or root of a user namespace in which
// the host's root is nobody.
bool has_own_systemd();

// A connection to the manager itself, or to a bus. Blocking, with a deadline for every wait.
class SystemdManager {
 public:
  // Error{unavailable} says where it was looked for.
  static SystemdManager connect_system();
  // The manager of the user whose XDG_RUNTIME_DIR this is; works from inside a user namespace of that user's too.
  static SystemdManager connect_user(const std::string& runtime_directory);
  // For tests: this socket; `bus`: a message bus is there, not the manager itself.
  static SystemdManager connect_to(const std::string& socket_path, bool bus);

  // Returns when its job is done. False when a unit of this name is active already.
  bool try_start_unit(const std::string& name, const std::vector<UnitProperty>& properties);
  // The same; Error{unavailable} when there is one.
  void start_unit(const std::string& name, const std::vector<UnitProperty>& properties);
  void set_properties(const std::string& name, const std::vector<UnitProperty>& properties);
  // Also when there is none any more.
  void stop_unit(const std::string& name);
  // Moves a process of the caller's into a unit that was made with Delegate, `subgroup` ("/leaf") below its cgroup;
  // from everywhere, since systemd's root does it where the user may not.
  void attach_process(const std::string& unit, const std::string& subgroup, pid_t pid);
  // Where the manager's own units are ("/" or "/user.slice/user-1000.slice/user@1000.service").
  std::string control_group();

 private:
  explicit SystemdManager(UniqueFd socket) : socket_(std::move(socket)) {}
  struct Address;
  static SystemdManager connect_first(const std::vector<Address>& addresses);
  BusMessage start(const std::string& name, const std::vector<UnitProperty>& properties);
  void authenticate();
  void greet_bus();
  std::string read_line();
  BusMessage call(const std::string& interface, const std::string& member, const std::string& signature,
                  const BusWriter& body);
  BusMessage call_bus(const std::string& member, const std::string& text);
  BusMessage exchange(const BusCall& call);
  BusMessage receive();
  void wait_for_job(const std::string& job, const std::string& unit, const char* what);
  void send(std::span<const std::byte> bytes);
  void read_exactly(std::span<std::byte> out);

  UniqueFd socket_;
  std::uint32_t serial_ = 0;
  // Signals that came while a reply was awaited.
  std::deque<BusMessage> signals_;
};

}  // namespace bryo::kernel

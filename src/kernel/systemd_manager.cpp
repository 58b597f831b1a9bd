#include "kernel/systemd_manager.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::kernel {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr const char* kService = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kUnitExists = "org.freedesktop.systemd1.UnitExists";
constexpr auto kPatience = std::chrono::seconds(30);

UniqueFd connect_socket(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) fail_errno("socket");
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    fail(ErrorKind::invalid_argument, "connect to systemd: path {} is too long", printable(path));
  std::memcpy(address.sun_path, path.c_str(), path.size());
  if (::connect(fd.get(), reinterpret_cast<const struct sockaddr*>(&address), sizeof address) != 0)
    fail_errno("connect to systemd at {}", path);
  return fd;
}

constexpr const char* kSystemManager = "/run/systemd/private";

void wait_ready(int fd, short events, Clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    struct pollfd waited = {fd, events, 0};
    const int ready = left <= 0 ? 0 : ::poll(&waited, 1, static_cast<int>(left));
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) fail_errno("poll");
    if (ready == 0) fail(ErrorKind::unavailable, "systemd did not answer within {} s", kPatience.count());
  }
}

// "Name: text", as systemctl shows it.
std::string text_of(const BusMessage& error) {
  if (!error.signature.starts_with('s')) return error.error;
  return fmt::format("{} ({})", printable(BusReader(error.body).string(), 1000), error.error);
}

bool is_error(const BusMessage& answer, std::string_view name) {
  return answer.type == BusMessageType::error && answer.error == name;
}

void check(const BusMessage& answer, const std::string& what) {
  if (answer.type == BusMessageType::error)
    fail(ErrorKind::unavailable, "{}: systemd refused: {}", what, text_of(answer));
}

}  // namespace

bool has_own_systemd() {
  if (::geteuid() != 0) return true;
  struct stat info = {};
  return ::stat(kSystemManager, &info) == 0 && info.st_uid != 0;
}

struct SystemdManager::Address {
  std::string path;
  bool bus;
};

// The manager's own socket first: it needs no bus daemon.
SystemdManager SystemdManager::connect_system() {
  return connect_first({{kSystemManager, false}, {"/run/dbus/system_bus_socket", true}});
}

SystemdManager SystemdManager::connect_user(const std::string& runtime_directory) {
  return connect_first({{runtime_directory + "/systemd/private", false}, {runtime_directory + "/bus", true}});
}

SystemdManager SystemdManager::connect_first(const std::vector<Address>& addresses) {
  std::string failures;
  for (const Address& address : addresses) {
    try {
      return connect_to(address.path, address.bus);
    } catch (const Error& error) {
      failures += (failures.empty() ? "" : "; ") + error.message();
    }
  }
  fail(ErrorKind::unavailable, "no systemd answers ({})", failures);
}

SystemdManager SystemdManager::connect_to(const std::string& socket_path, bool bus) {
  SystemdManager out(connect_socket(socket_path));
  out.authenticate();
  if (bus) out.greet_bus();
  return out;
}

void SystemdManager::send(std::span<const std::byte> bytes) {
  const auto deadline = Clock::now() + kPatience;
  while (!bytes.empty()) {
    wait_ready(socket_.get(), POLLOUT, deadline);
    const ssize_t size = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) fail_errno("send to systemd");
    bytes = bytes.subspan(static_cast<std::size_t>(size));
  }
}

void SystemdManager::read_exactly(std::span<std::byte> out) {
  const auto deadline = Clock::now() + kPatience;
  while (!out.empty()) {
    wait_ready(socket_.get(), POLLIN, deadline);
    const ssize_t size = ::recv(socket_.get(), out.data(), out.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) fail_errno("receive from systemd");
    if (size == 0) fail(ErrorKind::unavailable, "systemd closed the connection");
    out = out.subspan(static_cast<std::size_t>(size));
  }
}

std::string SystemdManager::read_line() {
  constexpr std::size_t kLongest = 1024;
  std::string line;
  while (!line.ends_with("\r\n") && line.size() < kLongest) {
    std::byte next{};
    read_exactly(std::span(&next, 1));
    line += static_cast<char>(next);
  }
  return line;
}

// D-Bus specification, "Authentication Protocol": EXTERNAL without a name, so that the kernel says who we are. A number
// would be that of our own user namespace. All of it at once: systemd's manager does not look again at a message that
// it has read together with BEGIN.
void SystemdManager::authenticate() {
  constexpr std::string_view kHello("\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n", 29);
  send(std::as_bytes(std::span(kHello)));
  std::string answer = read_line();
  if (answer == "DATA\r\n") answer = read_line();
  if (!answer.starts_with("OK "))
    fail(ErrorKind::permission, "systemd does not take us for user {}: {}", ::geteuid(), printable(answer));
}

void SystemdManager::greet_bus() {
  check(call_bus("Hello", ""), "greet the bus");
  check(call_bus("AddMatch", "type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'"),
        "watch systemd's jobs");
  // Without it the manager tells a bus nothing of its jobs.
  check(call(kManager, "Subscribe", "", BusWriter()), "watch systemd's jobs");
}

BusMessage SystemdManager::call_bus(const std::string& member, const std::string& text) {
  BusWriter body;
  if (!text.empty()) body.string(text);
  return exchange({"org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", member,
                   text.empty() ? "" : "s", body.bytes()});
}

BusMessage SystemdManager::call(const std::string& interface, const std::string& member, const std::string& signature,
                                const BusWriter& body) {
  return exchange({kService, kManagerPath, interface, member, signature, body.bytes()});
}

BusMessage SystemdManager::exchange(const BusCall& call) {
  const std::uint32_t serial = ++serial_;
  send(encode_call(call, serial));
  const auto deadline = Clock::now() + kPatience;
  while (Clock::now() < deadline) {
    BusMessage message = receive();
    if (message.type == BusMessageType::signal)
      signals_.push_back(std::move(message));
    else if (message.reply_to == serial)
      return message;
  }
  fail(ErrorKind::unavailable, "systemd did not answer {} within {} s", call.member, kPatience.count());
}

BusMessage SystemdManager::receive() {
  std::vector<std::byte> bytes(kBusFixedHeader);
  read_exactly(bytes);
  bytes.resize(bus_message_size(bytes));
  read_exactly(std::span(bytes).subspan(kBusFixedHeader));
  return decode_message(bytes);
}

// JobRemoved(u id, o job, s unit, s result), perhaps received before the reply that named the job.
void SystemdManager::wait_for_job(const std::string& job, const std::string& unit, const char* what) {
  const auto deadline = Clock::now() + kPatience;
  while (Clock::now() < deadline) {
    BusMessage message;
    if (signals_.empty()) {
      message = receive();
    } else {
      message = std::move(signals_.front());
      signals_.pop_front();
    }
    if (message.type != BusMessageType::signal || message.member != "JobRemoved" || message.signature != "uoss")
      continue;
    BusReader in(message.body);
    in.number();
    if (in.string() != job) continue;
    in.string();
    const std::string result = in.string();
    if (result == "done") return;
    fail(ErrorKind::unavailable, "{} unit {}: systemd's job ended with \"{}\" (see journalctl -u {})", what, unit,
         printable(result), unit);
  }
  fail(ErrorKind::unavailable, "{} unit {}: systemd's job did not end within {} s", what, unit, kPatience.count());
}

BusMessage SystemdManager::start(const std::string& name, const std::vector<UnitProperty>& properties) {
  BusWriter body;
  body.string(name);
  body.string("replace");
  body.properties(properties);
  // No auxiliary units: a(sa(sv)).
  body.array(8, [] {});
  signals_.clear();
  BusMessage answer = call(kManager, "StartTransientUnit", "ssa(sv)a(sa(sv))", body);
  if (is_error(answer, kUnitExists)) {
    // One that failed before us stays until somebody resets it.
    BusWriter failed;
    failed.string(name);
    call(kManager, "ResetFailedUnit", "s", failed);
    answer = call(kManager, "StartTransientUnit", "ssa(sv)a(sa(sv))", body);
  }
  return answer;
}

bool SystemdManager::try_start_unit(const std::string& name, const std::vector<UnitProperty>& properties) {
  const BusMessage answer = start(name, properties);
  if (is_error(answer, kUnitExists)) return false;
  check(answer, "start unit " + name);
  wait_for_job(BusReader(answer.body).string(), name, "start");
  return true;
}

void SystemdManager::start_unit(const std::string& name, const std::vector<UnitProperty>& properties) {
  const BusMessage answer = start(name, properties);
  check(answer, "start unit " + name);
  wait_for_job(BusReader(answer.body).string(), name, "start");
}

void SystemdManager::attach_process(const std::string& unit, const std::string& subgroup, pid_t pid) {
  BusWriter body;
  body.string(unit);
  body.string(subgroup);
  body.array(4, [&] { body.number(static_cast<std::uint32_t>(pid)); });
  check(call(kManager, "AttachProcessesToUnit", "ssau", body), "attach a process to unit " + unit);
}

void SystemdManager::set_properties(const std::string& name, const std::vector<UnitProperty>& properties) {
  if (properties.empty()) return;
  BusWriter body;
  body.string(name);
  // Until the next boot only, as the unit itself.
  body.number(1);
  body.properties(properties);
  check(call(kManager, "SetUnitProperties", "sba(sv)", body), "change unit " + name);
}

void SystemdManager::stop_unit(const std::string& name) {
  BusWriter body;
  body.string(name);
  body.string("replace");
  signals_.clear();
  const BusMessage answer = call(kManager, "StopUnit", "ss", body);
  // A scope ends by itself with its last process.
  if (is_error(answer, "org.freedesktop.systemd1.NoSuchUnit")) return;
  check(answer, "stop unit " + name);
  wait_for_job(BusReader(answer.body).string(), name, "stop");
  BusWriter failed;
  failed.string(name);
  // An error says that it did not fail.
  call(kManager, "ResetFailedUnit", "s", failed);
}

std::string SystemdManager::control_group() {
  BusWriter body;
  body.string(kManager);
  body.string("ControlGroup");
  const BusMessage answer = call("org.freedesktop.DBus.Properties", "Get", "ss", body);
  check(answer, "ask systemd for its cgroup");
  BusReader in(answer.body);
  if (in.signature() != "s") fail(ErrorKind::internal, "systemd's ControlGroup is not a text");
  return in.string();
}

}  // namespace bryo::kernel

#include "engine/rootlesskit_ports.hpp"

#include <fcntl.h>
#include <linux/netlink.h>

#include <algorithm>
#include <boost/beast/http.hpp>
#include <cstdlib>
#include <thread>

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/netlink_links.hpp"
#include "kernel/sockets_address.hpp"
#include "kernel/unix_client.hpp"

namespace bryo::engine {

struct OuterSpec {
  std::string proto;
  std::string parent_ip;
  std::uint16_t parent_port = 0;
  std::string child_ip;
  std::uint16_t child_port = 0;
};
struct OuterPort {
  int id = 0;
  OuterSpec spec;
};
struct OuterPortDriver {
  std::vector<std::string> protos;
  bool no_loopback = false;
};
struct OuterNetwork {
  std::string child_ip;
};
struct OuterInfo {
  std::optional<OuterPortDriver> ports;
  std::optional<OuterNetwork> network;
};
struct OuterRefusal {
  std::string message;
};

}  // namespace bryo::engine

namespace bryo::json {

template <>
struct Fields<engine::OuterSpec> {
  using T = engine::OuterSpec;
  static constexpr auto list =
      std::tuple{field("proto", &T::proto), field("parentIP", &T::parent_ip), field("parentPort", &T::parent_port),
                 field("childIP", &T::child_ip), field("childPort", &T::child_port)};
};
template <>
struct Fields<engine::OuterPort> {
  using T = engine::OuterPort;
  static constexpr auto list = std::tuple{field("id", &T::id), field("spec", &T::spec)};
};
template <>
struct Fields<engine::OuterPortDriver> {
  using T = engine::OuterPortDriver;
  static constexpr auto list =
      std::tuple{field("protos", &T::protos), field("disallowLoopbackChildIP", &T::no_loopback)};
};
template <>
struct Fields<engine::OuterNetwork> {
  using T = engine::OuterNetwork;
  static constexpr auto list = std::tuple{field("childIP", &T::child_ip)};
};
template <>
struct Fields<engine::OuterInfo> {
  using T = engine::OuterInfo;
  static constexpr auto list = std::tuple{field("portDriver", &T::ports), field("networkDriver", &T::network)};
};
template <>
struct Fields<engine::OuterRefusal> {
  using T = engine::OuterRefusal;
  static constexpr auto list = std::tuple{field("message", &T::message)};
};

}  // namespace bryo::json

namespace bryo::engine {
namespace {

namespace http = boost::beast::http;
using kernel::IpAddress;
using network::PublishedPort;

constexpr std::size_t kMaxAnswer = 4U << 20;
constexpr std::chrono::seconds kPatience{10};
// rootlesskit starts its command a moment before it listens.
constexpr int kTries = 100;
constexpr std::chrono::milliseconds kPause{50};

std::string protocol_of(const PublishedPort& port) {
  return port.protocol + (IpAddress::parse(port.host_ip).is_v6() ? "6" : "4");
}

std::string key_of(const std::string& protocol, const std::string& address, std::uint16_t port) {
  return fmt::format("{} {} {}", protocol, address, port);
}
std::string key_of(const PublishedPort& port) { return key_of(protocol_of(port), port.host_ip, port.host_port); }
std::string key_of(const OuterSpec& spec) { return key_of(spec.proto, spec.parent_ip, spec.parent_port); }

// By a program out there, or by a port of the port driver.
bool is_taken(std::string_view refusal) {
  return refusal.find("address already in use") != std::string_view::npos ||
         refusal.find("conflict") != std::string_view::npos;
}

bool is_here(const IpAddress& host) {
  if (host.is_any() || host.is_loopback()) return true;
  kernel::NetlinkSocket socket(NETLINK_ROUTE);
  for (const kernel::LinkAddress& there : kernel::list_addresses(socket))
    if (there.address.address() == host) return true;
  return false;
}

// One of 127.1.0.0 to 127.255.255.255, always the same.
IpAddress loopback_for(const IpAddress& host) {
  if (host.is_v6()) return IpAddress::parse("::1");
  const std::string hex = Digest::of(host.str()).hex();
  const auto byte = [&](std::size_t at) { return std::stoul(hex.substr(at, 2), nullptr, 16); };
  return IpAddress::parse(fmt::format("127.{}.{}.{}", std::max(byte(0), 1UL), byte(2), byte(4)));
}

}  // namespace

std::shared_ptr<RootlesskitPorts> RootlesskitPorts::of_environment(const std::string& record) {
  const char* directory = std::getenv("ROOTLESSKIT_STATE_DIR");
  if (directory == nullptr || *directory != '/') return nullptr;
  return std::make_shared<RootlesskitPorts>(std::string(directory) + "/api.sock", record);
}

RootlesskitPorts::RootlesskitPorts(std::string socket, std::string record)
    : socket_(std::move(socket)), record_(std::move(record)) {
  recall();
}

std::string RootlesskitPorts::call(std::string_view method, std::string_view path, std::string_view body) {
  const std::string request = fmt::format(
      "{} {} HTTP/1.1\r\nHost: rootlesskit\r\nConnection: close\r\nContent-Type: application/json\r\n"
      "Content-Length: {}\r\n\r\n{}",
      method, path, body.size(), body);
  const std::string text = kernel::ask_unix_server(socket_, request, kPatience, kMaxAnswer);
  http::response_parser<http::string_body> parser;
  parser.eager(true);
  boost::system::error_code error;
  parser.put(boost::asio::buffer(text), error);
  if (!error && !parser.is_done()) parser.put_eof(error);
  if (error || !parser.is_done())
    fail(ErrorKind::unavailable, "{}: {} {}: the answer is not whole", socket_, method, path);
  std::string answer = parser.get().body();
  if (parser.get().result_int() < 400) return answer;
  if (answer.starts_with('{')) answer = json::decode<OuterRefusal>(json::parse(answer)).message;
  fail(is_taken(answer) ? ErrorKind::conflict : ErrorKind::internal, "publish on the host through {}: {}", socket_,
       printable(answer));
}

const RootlesskitPorts::Driver& RootlesskitPorts::driver() {
  for (int i = 0; !driver_; ++i) {
    try {
      const auto info = json::decode<OuterInfo>(json::parse(call("GET", "/v1/info", "")));
      driver_.emplace();
      if (!info.ports) continue;
      driver_->protocols.insert(info.ports->protos.begin(), info.ports->protos.end());
      if (info.ports->no_loopback && info.network) driver_->child_address = info.network->child_ip;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::unavailable || i == kTries) throw;
      std::this_thread::sleep_for(kPause);
    }
  }
  return *driver_;
}

IpAddress RootlesskitPorts::stand_in(const IpAddress& host) {
  if (is_here(host)) return host;
  const Driver& way = driver();
  if (way.protocols.empty()) return host;  // nobody brings anything from there: let the kernel say so
  return way.child_address.empty() ? loopback_for(host) : IpAddress::parse(way.child_address);
}

IpAddress RootlesskitPorts::listens_at(const IpAddress& host) {
  const std::lock_guard lock(mutex_);
  return stand_in(host);
}

void RootlesskitPorts::add_one(const PublishedPort& port) {
  const Driver& way = driver();
  const std::string protocol = protocol_of(port);
  const std::string key = key_of(port);
  if (!way.protocols.contains(protocol)) {
    log::debug("port {} is not published on the host: its port driver has no {}", key, protocol);
    return;
  }
  const IpAddress host = IpAddress::parse(port.host_ip);
  OuterSpec spec{protocol, port.host_ip, port.host_port, stand_in(host).str(), port.host_port};
  if (host.is_any()) spec.child_ip = host.is_v6() ? "::1" : "127.0.0.1";
  if (host.is_any() && !way.child_address.empty()) spec.child_ip = way.child_address;
  ours_.insert(key);
  remember();
  try {
    ids_[key] = json::decode<OuterPort>(json::parse(call("POST", "/v1/ports", json::serialize(json::encode(spec))))).id;
  } catch (const Error& error) {
    ours_.erase(key);
    remember();
    // Nobody asked for IPv6 by name, and the host may have none.
    if (!host.is_v6() || !host.is_any()) throw;
    log::warning("port {} is published on the host by IPv4 only: {}", port.host_port, error.message());
  }
}

void RootlesskitPorts::remove_one(const std::string& key) {
  const auto found = ids_.find(key);
  if (found != ids_.end()) call("DELETE", fmt::format("/v1/ports/{}", found->second), "");
  ids_.erase(key);
  if (ours_.erase(key) != 0) remember();
}

void RootlesskitPorts::close(const PublishedPort& port) noexcept {
  try {
    remove_one(key_of(port));
  } catch (const Error& error) {
    log::warning("port {} stays open on the host: {}", port.host_port, error.message());
  }
}

void RootlesskitPorts::add(const std::vector<PublishedPort>& ports) {
  const std::lock_guard lock(mutex_);
  if (driver().protocols.empty()) {
    log::warning("ports are open inside {} only: it was started without a port driver (--port-driver=builtin)",
                 socket_.substr(0, socket_.rfind('/')));
    return;
  }
  for (std::size_t i = 0; i < ports.size(); ++i) {
    try {
      add_one(ports[i]);
    } catch (...) {
      for (std::size_t before = 0; before < i; ++before) close(ports[before]);
      throw;
    }
  }
}

void RootlesskitPorts::remove(const std::vector<PublishedPort>& ports) noexcept {
  const std::lock_guard lock(mutex_);
  for (const PublishedPort& port : ports) close(port);
}

void RootlesskitPorts::settle(const std::vector<PublishedPort>& ports) noexcept {
  const std::lock_guard lock(mutex_);
  if (ports.empty() && ours_.empty()) return;
  try {
    std::set<std::string> wanted;
    for (const PublishedPort& port : ports) wanted.insert(key_of(port));
    for (const OuterPort& there : json::decode<std::vector<OuterPort>>(json::parse(call("GET", "/v1/ports", "")))) {
      const std::string key = key_of(there.spec);
      if (!ours_.contains(key)) continue;
      ids_[key] = there.id;
      if (!wanted.contains(key)) remove_one(key);
    }
    std::erase_if(ours_, [&](const std::string& key) { return !ids_.contains(key); });
    remember();
    for (const PublishedPort& port : ports)
      if (!ids_.contains(key_of(port))) add_one(port);
  } catch (const Error& error) {
    log::warning("published ports may be missing on the host: {}", error.message());
  }
}

void RootlesskitPorts::recall() {
  if (!kernel::try_stat_at(AT_FDCWD, record_)) return;
  try {
    const UniqueFd file = kernel::open_at(AT_FDCWD, record_, O_RDONLY);
    for (std::string& key :
         json::decode<std::vector<std::string>>(json::parse(kernel::read_file(file.get(), kMaxAnswer))))
      ours_.insert(std::move(key));
  } catch (const Error& error) {
    log::warning("ports on the host that an earlier engine left are not known: {}: {}", record_, error.message());
  }
}

void RootlesskitPorts::remember() const {
  const std::string text = json::serialize(json::encode(std::vector<std::string>(ours_.begin(), ours_.end())));
  const UniqueFd file = kernel::open_at(AT_FDCWD, record_ + ".new", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  kernel::write_all(file.get(), std::as_bytes(std::span(text)));
  kernel::rename_at(AT_FDCWD, record_ + ".new", AT_FDCWD, record_);
}

}  // namespace bryo::engine

#include "rootless/command/api.hpp"

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/strings.hpp"

namespace bryo::rootless::command {
namespace {

constexpr const char* kApiVersion = "1.1.1";
constexpr std::string_view kPorts = "/v1/ports";

json::Value json_of(const Ports::Port& port) {
  return json::Object{{"id", port.id}, {"spec", json::encode(port.spec)}};
}

std::string_view driver_name(const Options& options) {
  return options.network == NetworkKind::none ? "none" : to_string(options.user_network.driver);
}

unsigned status_of(const Error& error) { return error.kind() == ErrorKind::internal ? 500 : 400; }

}  // namespace

std::string Api::info() const {
  json::Object out{{"apiVersion", kApiVersion},
                   {"version", BRYO_VERSION},
                   {"stateDir", facts_.state_directory},
                   {"childPID", facts_.child}};
  if (options_.network != NetworkKind::host) {
    json::Object network{{"driver", std::string(driver_name(options_))}};
    if (!facts_.network.dns.empty()) network["dns"] = json::Array{json::Value(facts_.network.dns)};
    if (!facts_.network.address.empty()) network["childIP"] = facts_.network.address;
    out["networkDriver"] = std::move(network);
  }
  if (options_.port_driver != PortDriver::none) {
    json::Array protocols;
    for (const std::string_view name : kProtocols) protocols.emplace_back(std::string(name));
    out["portDriver"] =
        json::Object{{"driver", std::string(to_string(options_.port_driver))}, {"protos", std::move(protocols)}};
  }
  return json::serialize(out);
}

HttpReply Api::answer(const HttpRequest& request) {
  try {
    return dispatch(request);
  } catch (const Error& error) {
    return {status_of(error), json::serialize(json::Object{{"message", error.message()}})};
  }
}

HttpReply Api::dispatch(const HttpRequest& request) {
  const std::string_view path = std::string_view(request.target).substr(0, request.target.find('?'));
  if (path == "/v1/info" && request.method == "GET") return {200, info()};
  if (path == kPorts && request.method == "GET") {
    json::Array all;
    for (const auto& port : ports_.list()) all.push_back(json_of(port));
    return {200, json::serialize(all)};
  }
  if (path == kPorts && request.method == "POST")
    return {201, json::serialize(json_of(ports_.add(json::decode<PortSpec>(json::parse(request.body)))))};
  if (path.starts_with("/v1/ports/") && request.method == "DELETE") {
    const std::string_view text = path.substr(kPorts.size() + 1);
    const auto id = parse_integer<int>(text);
    if (!id) fail(ErrorKind::invalid_argument, "bad id {}: it must be a number", printable(text, 40));
    ports_.remove(*id);
    return {200, ""};
  }
  if (path == "/v1/info" || path == kPorts) return {405, "405 method not allowed\n"};
  return {404, "404 page not found\n"};
}

}  // namespace bryo::rootless::command

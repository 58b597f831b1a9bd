// network ls, create, rm, connect, disconnect.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/listing.hpp"

namespace bryo::cli {
namespace {

constexpr Option kListRows[] = {
    {"filter", 'f', &kFilter, "", "Show only what fits (driver=bridge, name=x …)"},
    {"format", 0, &kText, "", "table, json, or a Go template"},
    {"no-trunc", 0, &kFlag, "", "Show ids whole"},
    {"quiet", 'q', &kFlag, "", "Show ids only"},
};

constexpr Option kCreateRows[] = {
    {"attachable", 0, &kFlag, "Attachable", "Containers may be attached by hand"},
    {"aux-address", 0, &kPairs, "", "Addresses of the subnet that are taken already"},
    {"config-from", 0, &kText, "ConfigFrom.Network", "Network to copy the configuration from"},
    {"config-only", 0, &kFlag, "ConfigOnly", "Only keep a configuration"},
    {"driver", 'd', &kText, "Driver", "Driver of the network", "\"bridge\""},
    {"gateway", 0, &kCsv, "", "Gateway of a subnet"},
    {"ingress", 0, &kFlag, "Ingress", "Make the swarm's routing mesh"},
    {"internal", 0, &kFlag, "Internal", "No way out of this network"},
    {"ip-range", 0, &kCsv, "", "Give out only addresses of this range"},
    {"ipam-driver", 0, &kText, "IPAM.Driver", "Address management driver", "\"default\""},
    {"ipam-opt", 0, &kPairs, "IPAM.Options", "Option of the address management driver"},
    {"ipv4", 0, &kFlag, "EnableIPv4", "Give out IPv4 addresses", "true"},
    {"ipv6", 0, &kFlag, "EnableIPv6", "Give out IPv6 addresses"},
    {"label", 0, &kLabel, "Labels", "Set a label"},
    {"opt", 'o', &kPairs, "Options", "Option of the driver"},
    {"scope", 0, &kText, "Scope", "Scope of the network"},
    {"subnet", 0, &kCsv, "", "Subnet in CIDR form"},
};

constexpr Option kConnectRows[] = {
    {"alias", 0, &kCsv, "EndpointConfig.Aliases", "Further name of the container in the network"},
    {"driver-opt", 0, &kPairs, "EndpointConfig.DriverOpts", "Option of the driver"},
    {"gw-priority", 0, &kInteger, "EndpointConfig.GwPriority", "The highest gives the default gateway"},
    {"ip", 0, &kText, "EndpointConfig.IPAMConfig.IPv4Address", "IPv4 address"},
    {"ip6", 0, &kText, "EndpointConfig.IPAMConfig.IPv6Address", "IPv6 address"},
    {"link", 0, &kLink, "EndpointConfig.Links", "Link to another container"},
    {"link-local-ip", 0, &kCsv, "EndpointConfig.IPAMConfig.LinkLocalIPs", "Link-local address"},
};

constexpr Option kForceRows[] = {{"force", 'f', &kFlag, "", "A network that does not exist is no failure"}};
constexpr Option kDisconnectRows[] = {
    {"force", 'f', &kFlag, "Force", "Disconnect even if the container does not help"}};

const ListStyle kStyle = {"{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
                          "{{.ID}}",
                          {{"ID", "NETWORK ID"},
                           {"Name", "NAME"},
                           {"Driver", "DRIVER"},
                           {"Scope", "SCOPE"},
                           {"IPv4", "IPV4"},
                           {"IPv6", "IPV6"},
                           {"Internal", "INTERNAL"},
                           {"Labels", "LABELS"},
                           {"CreatedAt", "CREATED AT"}},
                          "*network.networkContext"};

// "2026-11-22T02:25:50.369Z" → "2026-11-22 02:25:50.369 +0000 UTC"
std::string go_time(const std::string& rfc3339) {
  const auto t = rfc3339.find('T');
  if (t == std::string::npos || !rfc3339.ends_with('Z')) return rfc3339;
  return rfc3339.substr(0, t) + " " + rfc3339.substr(t + 1, rfc3339.size() - t - 2) + " +0000 UTC";
}

int run_list(Context& context, const Arguments& arguments) {
  Query query;
  add_filters(query, arguments.filters());
  const json::Value answer = context.client().get("/networks" + query.str()).json();
  std::vector<json::Value> networks(array_at(answer, "").begin(), array_at(answer, "").end());
  std::sort(networks.begin(), networks.end(),
            [](const json::Value& a, const json::Value& b) { return text_at(a, "Name") < text_at(b, "Name"); });
  std::vector<Row> rows;
  for (const json::Value& network : networks) {
    const std::string id = text_at(network, "Id");
    const auto yes = [&](const char* field) { return flag_at(network, field) ? "true" : "false"; };
    Row row;
    row.fields = json::Object{{"ID", arguments.flag("no-trunc") ? id : short_id(id)},
                              {"Name", text_at(network, "Name")},
                              {"Driver", text_at(network, "Driver")},
                              {"Scope", text_at(network, "Scope")},
                              {"IPv4", yes("EnableIPv4")},
                              {"IPv6", yes("EnableIPv6")},
                              {"Internal", yes("Internal")},
                              {"Labels", join_labels(object_at(network, "Labels"))},
                              {"CreatedAt", go_time(text_at(network, "Created"))}};
    rows.push_back(std::move(row));
  }
  std::string format = arguments.text("format");
  if (format.empty() && !arguments.flag("quiet")) format = context.config().text("networksFormat");
  context.out.write(format_list(kStyle, format, arguments.flag("quiet"), rows));
  return 0;
}

std::vector<std::string> csv_texts(const Arguments& arguments, const char* name) {
  std::vector<std::string> out;
  for (const json::Value& list : arguments.values(name))
    for (const json::Value& item : list.as_array()) out.emplace_back(item.as_string().c_str());
  return out;
}

// The bits of an IPv4 or IPv6 address; empty when it is none.
std::vector<bool> address_bits(const std::string& text) {
  std::array<unsigned char, 16> bytes{};
  std::size_t size = 0;
  if (::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) size = 4;
  if (size == 0 && ::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) size = 16;
  std::vector<bool> bits;
  for (std::size_t i = 0; i < size * 8; ++i) bits.push_back((bytes[i / 8] >> (7 - i % 8) & 1) != 0);
  return bits;
}

// True when the address, or the first one of a range, lies in the subnet "10.0.0.0/8".
bool lies_in(const std::string& address, const std::string& subnet) {
  const auto parts = split_once(subnet, '/');
  const auto prefix = parts ? parse_integer<std::size_t>(parts->second) : std::nullopt;
  if (!prefix) fail(ErrorKind::invalid_argument, "invalid subnet {}: expected ADDRESS/PREFIX", printable(subnet));
  const std::vector<bool> network = address_bits(std::string(parts->first));
  const std::vector<bool> bits = address_bits(address.substr(0, address.find('/')));
  if (bits.empty() || bits.size() != network.size() || *prefix > bits.size()) return false;
  return std::equal(network.begin(), network.begin() + static_cast<std::ptrdiff_t>(*prefix), bits.begin());
}

json::Array ipam_config(const Arguments& arguments) {
  std::vector<json::Object> pools;
  for (const std::string& subnet : csv_texts(arguments, "subnet")) pools.push_back(json::Object{{"Subnet", subnet}});
  const auto place = [&](const std::string& address, const char* words) -> json::Object& {
    for (json::Object& pool : pools)
      if (lies_in(address, pool.at("Subnet").as_string().c_str())) return pool;
    fail(ErrorKind::invalid_argument, "no matching subnet for {} {}", words, printable(address));
  };
  for (const std::string& range : csv_texts(arguments, "ip-range")) place(range, "range")["IPRange"] = range;
  for (const std::string& gateway : csv_texts(arguments, "gateway")) place(gateway, "gateway")["Gateway"] = gateway;
  for (const json::Value& pair : arguments.values("aux-address"))
    for (const auto& item : pair.as_object()) {
      json::Value& taken = place(item.value().as_string().c_str(), "aux-address")["AuxiliaryAddresses"];
      if (!taken.is_object()) taken = json::Object();
      taken.get_object()[item.key()] = item.value();
    }
  json::Array out;
  for (json::Object& pool : pools) out.push_back(std::move(pool));
  return out;
}

int run_create_network(Context& context, const Arguments& arguments) {
  json::Object body{
      {"Name", arguments.words()[0]}, {"Driver", "bridge"},
      {"CheckDuplicate", true},       {"IPAM", json::Object{{"Driver", "default"}, {"Config", ipam_config(arguments)}}},
      {"Options", json::Object()},    {"Labels", json::Object()}};
  arguments.fill(body);
  const json::Value answer = context.client().post("/networks/create", body).json();
  if (const std::string warning = text_at(answer, "Warning"); !warning.empty())
    context.err.print("WARNING: {}\n", warning);
  context.out.print("{}\n", text_at(answer, "Id"));
  return 0;
}

int run_remove_network(Context& context, const Arguments& arguments) {
  const bool force = arguments.flag("force");
  return for_each_name(context, arguments.words(), [&](const std::string& name) {
    try {
      context.client().remove("/networks/" + encode_path(name));
    } catch (const Error& error) {
      if (force && error.kind() == ErrorKind::not_found) return;
      throw;
    }
    context.out.print("{}\n", name);
    context.out.flush();
  });
}

int run_connect(Context& context, const Arguments& arguments) {
  json::Object body{{"Container", arguments.words()[1]}, {"EndpointConfig", json::Object()}};
  arguments.fill(body);
  context.client().post("/networks/" + encode_path(arguments.words()[0]) + "/connect", body);
  return 0;
}

int run_disconnect(Context& context, const Arguments& arguments) {
  json::Object body{{"Container", arguments.words()[1]}, {"Force", false}};
  arguments.fill(body);
  context.client().post("/networks/" + encode_path(arguments.words()[0]) + "/disconnect", body);
  return 0;
}

}  // namespace

const Command kNetworkList = {.names = "network ls|network list",
                              .usage = "[OPTIONS]",
                              .summary = "List networks",
                              .options = kListRows,
                              .maximum = 0,
                              .run = run_list};
const Command kNetworkCreate = {.names = "network create",
                                .usage = "[OPTIONS] NETWORK",
                                .summary = "Create a network",
                                .options = kCreateRows,
                                .minimum = 1,
                                .maximum = 1,
                                .run = run_create_network};
const Command kNetworkRemove = {.names = "network rm|network remove",
                                .usage = "NETWORK [NETWORK...]",
                                .summary = "Remove networks",
                                .options = kForceRows,
                                .minimum = 1,
                                .run = run_remove_network};
const Command kNetworkConnect = {.names = "network connect",
                                 .usage = "[OPTIONS] NETWORK CONTAINER",
                                 .summary = "Connect a container to a network",
                                 .options = kConnectRows,
                                 .minimum = 2,
                                 .maximum = 2,
                                 .run = run_connect};
const Command kNetworkDisconnect = {.names = "network disconnect",
                                    .usage = "[OPTIONS] NETWORK CONTAINER",
                                    .summary = "Disconnect a container from a network",
                                    .options = kDisconnectRows,
                                    .minimum = 2,
                                    .maximum = 2,
                                    .run = run_disconnect};

}  // namespace bryo::cli

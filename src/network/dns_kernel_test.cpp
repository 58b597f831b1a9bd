// The embedded DNS server inside containers' namespaces, against the kernel.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "network/dns_message.hpp"
#include "network/lab_test.hpp"

namespace bryo::network::lab {
namespace {

DnsBytes question(const std::string& name, std::uint16_t type, std::uint16_t id = 0x4242) {
  DnsBytes out{static_cast<std::uint8_t>(id >> 8), static_cast<std::uint8_t>(id), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  std::size_t from = 0;
  while (from < name.size()) {
    const std::size_t dot = std::min(name.find('.', from), name.size());
    out.push_back(static_cast<std::uint8_t>(dot - from));
    out.insert(out.end(), name.begin() + static_cast<std::ptrdiff_t>(from),
               name.begin() + static_cast<std::ptrdiff_t>(dot));
    from = dot + 1;
  }
  out.push_back(0);
  for (const int byte : {0, static_cast<int>(type), 0, 1}) out.push_back(static_cast<std::uint8_t>(byte));
  return out;
}

// "172.18.0.2" for an answer with one IPv4 address, "none" for an empty one, "error 2" for a failure, "silence".
std::string read_answer(const DnsBytes& message) {
  if (message.size() < 12) return "silence";
  if ((message[3] & 0x0f) != 0) return "error " + std::to_string(message[3] & 0x0f);
  if (message[7] == 0) return "none";
  return IpAddress::from_bytes(kernel::Family::v4, message.data() + message.size() - 4).str();
}

std::string ask(int netns, const std::string& name, std::uint16_t type = kDnsTypeA, int milliseconds = kPatience) {
  const UniqueFd client = udp_socket(netns, "127.0.0.1");
  const DnsBytes query = question(name, type);
  kernel::send_datagram(client.get(), query.data(), query.size(), IpAddress::parse("127.0.0.11"), 53);
  const auto got = receive(client.get(), milliseconds);
  if (!got) return "silence";
  EXPECT_EQ(got->from, "127.0.0.11");
  EXPECT_EQ(got->port, 53) << "resolvers drop answers from another port";
  return read_answer(DnsBytes(got->text.begin(), got->text.end()));
}

std::string ask_tcp(int netns, const std::string& name) {
  const auto client = dial(netns, "127.0.0.11", 53);
  if (!client) return "refused";
  const DnsBytes query = question(name, kDnsTypeA);
  DnsBytes framed{0, static_cast<std::uint8_t>(query.size())};
  framed.insert(framed.end(), query.begin(), query.end());
  kernel::send_some(client->get(), framed.data(), framed.size());
  DnsBytes answer;
  while ((answer.size() < 2 || answer.size() < 2U + answer[0] * 256U + answer[1]) &&
         readable(client->get(), kPatience)) {
    DnsBytes part(512);
    const auto size = kernel::receive_some(client->get(), part.data(), part.size());
    if (!size || *size == 0) break;
    answer.insert(answer.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(*size));
  }
  return answer.size() < 2 ? "silence" : read_answer(DnsBytes(answer.begin() + 2, answer.end()));
}

// An upstream server: answers 192.0.2.53 to everything, over UDP and TCP, and counts.
class Upstream {
 public:
  Upstream(int netns, const std::string& address)
      : udp_(udp_socket(netns, address, 53)),
        tcp_(in(netns, [&] { return kernel::listen_tcp(IpAddress::parse(address), 53); })),
        thread_([this] { run(); }) {}
  ~Upstream() {
    stop_ = true;
    thread_.join();
  }
  std::atomic<int> queries = 0;
  std::atomic<bool> silent = false;

 private:
  static DnsBytes answer(const DnsBytes& query) {
    return dns_addresses(*parse_dns_query(query).query, {IpAddress::parse("192.0.2.53")});
  }
  void run() {
    while (!stop_) {
      pollfd waits[] = {{udp_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}};
      ::poll(waits, 2, 10);
      DnsBytes buffer(2048);
      if (const auto got = kernel::receive_datagram(udp_.get(), buffer.data(), buffer.size())) {
        ++queries;
        buffer.resize(got->size);
        const DnsBytes reply = answer(buffer);
        if (!silent) kernel::send_datagram(udp_.get(), reply.data(), reply.size(), got->from, got->port);
      }
      if (const auto client = kernel::accept_tcp(tcp_.get()); client && readable(client->get(), kPatience)) {
        buffer.resize(2048);
        const auto size = kernel::receive_some(client->get(), buffer.data(), buffer.size());
        if (!size || *size < 14) continue;
        ++queries;
        DnsBytes reply = answer(DnsBytes(buffer.begin() + 2, buffer.begin() + static_cast<std::ptrdiff_t>(*size)));
        reply.insert(reply.begin(), {0, static_cast<std::uint8_t>(reply.size())});
        kernel::send_some(client->get(), reply.data(), reply.size());
      }
    }
  }
  UniqueFd udp_;
  UniqueFd tcp_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class DnsLab : public NetworkLab {
 protected:
  void start_with_resolver(const std::string& server) {
    path_ = std::filesystem::temp_directory_path() / ("bryo-resolv-" + random_hex_id());
    std::ofstream(path_) << "nameserver " << server << "\n";
    NetworkOptions options;
    options.resolv_conf = path_;
    start(options);
  }
  void TearDown() override {
    NetworkLab::TearDown();
    if (!path_.empty()) std::filesystem::remove(path_);
  }
  Container with_dns(const std::string& name, const std::vector<std::string>& networks,
                     std::function<void(EndpointRequest&)> change = {}) {
    Container container = make_container(name, networks, std::move(change));
    if (manager().needs_dns(container.endpoints)) manager().serve_dns(container.id, container.netns.get(), {});
    return container;
  }
  std::string path_;
};

TEST_F(DnsLab, ContainersFindEachOtherByName) {
  start_with_resolver("127.0.0.1");
  make_network("red");
  make_network("blue");
  const Container a = with_dns("web", {"red"}, [](EndpointRequest& r) {
    r.aliases = {"www"};
    r.hostname = "webhost";
  });
  const Container b = with_dns("client", {"red"}, [](EndpointRequest& r) { r.links = {"web:backend"}; });
  const Container c = with_dns("stranger", {"blue"});
  for (const std::string& name : {std::string("web"), std::string("WEB"), std::string("www"), std::string("webhost"),
                                  a.id.substr(0, 12), std::string("web.red"), std::string("backend")})
    EXPECT_EQ(ask(b.netns.get(), name), a.ip()) << name;
  EXPECT_EQ(ask(a.netns.get(), "backend"), "error 2") << "a link is for the one who has it";
  EXPECT_EQ(ask(b.netns.get(), "web", kDnsTypeAaaa), "none") << "known, but without such an address";
  EXPECT_EQ(ask(c.netns.get(), "web"), "error 2");
  EXPECT_EQ(ask_tcp(b.netns.get(), "web"), a.ip());
  manager().rename(a.id, "site");
  EXPECT_EQ(ask(b.netns.get(), "site"), a.ip());
  EXPECT_EQ(ask(b.netns.get(), "web"), "error 2");
  manager().release_container(a.id);
  EXPECT_EQ(ask(b.netns.get(), "www"), "error 2");
}

TEST_F(DnsLab, PortFiftyThreeStaysFreeForTheContainer) {
  start_with_resolver("127.0.0.1");
  make_network("red");
  const Container a = with_dns("a", {"red"});
  const UniqueFd udp = udp_socket(a.netns.get(), "0.0.0.0", 53);
  Server tcp(a.netns.get(), "0.0.0.0", 53);
  EXPECT_EQ(ask(a.netns.get(), "a"), a.ip());
  EXPECT_EQ(ask_tcp(a.netns.get(), "a"), a.ip());
  const UniqueFd client = udp_socket(a.netns.get(), "127.0.0.1");
  send_to(client.get(), "mine", "127.0.0.1", 53);
  EXPECT_TRUE(receive(udp.get())) << "and its own server is heard";
}

TEST_F(DnsLab, OtherNamesAreForwardedFromTheContainersNamespace) {
  const OtherHost lan = plug_in();
  Upstream upstream(lan.netns.get(), kLanOther);
  start_with_resolver(kLanOther);
  make_network("red");
  const Container a = with_dns("a", {"red"});
  EXPECT_EQ(ask(a.netns.get(), "example.com"), "192.0.2.53");
  EXPECT_EQ(ask_tcp(a.netns.get(), "example.com"), "192.0.2.53");
  EXPECT_EQ(upstream.queries, 2);
  in(a.netns.get(), [] {  // from its namespace means: what cuts the container off cuts its queries off
    kernel::NetlinkSocket socket(NETLINK_ROUTE);
    kernel::LinkChanges().down(kernel::find_link(socket, "eth0")->index).execute(socket, "down");
  });
  EXPECT_EQ(ask(a.netns.get(), "example.com"), "error 2");
  EXPECT_EQ(upstream.queries, 2);
}

TEST_F(DnsLab, ResolverOnTheHostsLoopbackIsAskedFromTheHost) {
  Upstream upstream(host(), "127.0.0.1");
  start_with_resolver("127.0.0.1");
  make_network("red");
  const Container a = with_dns("a", {"red"});
  EXPECT_EQ(ask(a.netns.get(), "example.com"), "192.0.2.53");
}

TEST_F(DnsLab, CVE_2024_29018_InternalNetworksForwardNothing) {
  const OtherHost lan = plug_in();
  Upstream outside(lan.netns.get(), kLanOther);
  Upstream loopback(host(), "127.0.0.1");
  for (const char* server : {kLanOther, "127.0.0.1"}) {
    start_with_resolver(server);
    if (!manager().exists("inner")) make_network("inner", [](NetworkCreate& r) { r.internal = true; });
    if (!manager().exists("red")) make_network("red");
    const Container a = with_dns("a", {"inner"});
    EXPECT_EQ(ask(a.netns.get(), "secret.example.com"), "error 2");
    EXPECT_EQ(ask_tcp(a.netns.get(), "secret.example.com"), "error 2");
    EXPECT_EQ(outside.queries + loopback.queries, 0) << server;
    EXPECT_EQ(ask(a.netns.get(), "a"), a.ip()) << "names inside work";
    const Container both = with_dns("both", {"inner", "red"});
    EXPECT_EQ(ask(both.netns.get(), "example.com"), "192.0.2.53") << "a container with a way out may ask";
    outside.queries = loopback.queries = 0;
    manager().release_container(a.id);
    manager().release_container(both.id);
    TearDown();
  }
}

TEST_F(DnsLab, SilentServersTimeOutAndAreBounded) {
  const OtherHost lan = plug_in();
  Upstream upstream(lan.netns.get(), kLanOther);
  upstream.silent = true;
  start_with_resolver(kLanOther);
  make_network("red");
  const Container a = with_dns("a", {"red"});
  const UniqueFd flood = udp_socket(a.netns.get(), "127.0.0.1");
  for (int i = 0; i < 1000; ++i) {
    const DnsBytes query = question("x" + std::to_string(i) + ".example.com", kDnsTypeA);
    kernel::send_datagram(flood.get(), query.data(), query.size(), IpAddress::parse("127.0.0.11"), 53);
  }
  std::string own = "silence";  // the flood may fill the socket for a moment; clients repeat themselves
  for (int i = 0; i < 10 && own == "silence"; ++i) own = ask(a.netns.get(), "a", kDnsTypeA, 500);
  EXPECT_EQ(own, a.ip()) << "own names are answered all the while";
  EXPECT_EQ(ask(a.netns.get(), "late.example.com", kDnsTypeA, 6000), "error 2");
  EXPECT_LE(upstream.queries, 300);
}

TEST_F(DnsLab, StopsWithTheContainerAndLetsItsNamespaceGo) {
  start_with_resolver("127.0.0.1");
  make_network("red");
  kernel::NetlinkSocket socket(NETLINK_ROUTE);
  std::string veth;
  {
    const Container a = with_dns("a", {"red"});
    veth = a.endpoints[0].host_interface;
    EXPECT_TRUE(kernel::find_link(socket, veth));
    manager().release_container(a.id);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (kernel::find_link(socket, veth) && std::chrono::steady_clock::now() < deadline) ::usleep(1000);
  EXPECT_FALSE(kernel::find_link(socket, veth)) << "the veth dies with the namespace, nobody deletes it";
}

TEST_F(DnsLab, ComesBackAfterARestart) {
  start_with_resolver("127.0.0.1");
  make_network("red");
  const Container a = with_dns("a", {"red"});
  manager_.reset();
  EXPECT_EQ(ask(a.netns.get(), "a", kDnsTypeA, kShort), "silence");
  std::vector<RunningContainer> running(1);
  running[0].container_id = a.id;
  running[0].netns = in(a.netns.get(), [] { return kernel::open_own_netns(); });
  running[0].endpoints = a.endpoints;
  start(options_, std::move(running));
  EXPECT_EQ(ask(a.netns.get(), "a"), a.ip());
}

}  // namespace
}  // namespace bryo::network::lab

// The pure parts: addresses, challenges, credentials, endpoints, who may see credentials.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/error.hpp"
#include "base/json.hpp"
#include "registry/auth.hpp"
#include "registry/base64.hpp"
#include "registry/certificates.hpp"
#include "registry/challenge.hpp"
#include "registry/credentials.hpp"
#include "registry/endpoints.hpp"
#include "registry/proxy.hpp"

namespace bryo::registry {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::string message_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.message();
  }
  return "nothing was thrown";
}

TEST(Url, PartsAndText) {
  const Url url = Url::parse("HTTPS://Example.COM/v2/a?b=c#d");
  EXPECT_EQ(url.origin(), (Origin{"https", "example.com", 443}));
  EXPECT_EQ(url.target(), "/v2/a?b=c");
  EXPECT_EQ(url.str(), "https://example.com/v2/a?b=c");
  EXPECT_EQ(url.printable(), "https://example.com/v2/a") << "signatures are in the query";
  EXPECT_EQ(Url::parse("http://[::1]:5000").origin(), (Origin{"http", "::1", 5000}));
  EXPECT_EQ(Url::parse("http://[::1]:5000").str(), "http://[::1]:5000/");
  EXPECT_EQ(url.with_query("x", "a b&").str(), "https://example.com/v2/a?b=c&x=a%20b%26");
}

TEST(Url, ResolvesLocations) {
  const Url base = Url::parse("https://a.com/v2/x/blobs/1");
  EXPECT_EQ(base.resolve("/y?z=1").str(), "https://a.com/y?z=1");
  EXPECT_EQ(base.resolve("2").str(), "https://a.com/v2/x/blobs/2");
  EXPECT_EQ(base.resolve("//b.com/y").str(), "https://b.com/y");
  EXPECT_EQ(base.resolve("http://b.com:81/y").str(), "http://b.com:81/y");
}

TEST(Url, RefusesOtherSchemesUsersAndControlCharacters) {
  const Url base = Url::parse("https://a.com/");
  for (const char* text :
       {"file:///etc/passwd", "gopher://a/", "ftp://a/", "https://user:secret@b.com/", "https://b@c/", "http://",
        "https://a b/", "https://a/\r\nX: y", "scp://x", "http://a:99999/", "dict://a:1/"})
    EXPECT_THROW(base.resolve(text), Error) << text;
  EXPECT_THAT(message_of([&] { base.resolve("https://u:hunter2@b.com/x?sig=abc"); }), Not(HasSubstr("sig")));
}

TEST(Addresses, LinkLocalAndMetadataAreNeverFollowed) {
  for (const char* text :
       {"169.254.169.254", "169.254.0.1", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254", "100.100.100.200",
        "168.63.129.16", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "ff02::1", "224.0.0.1", "255.255.255.255"})
    for (const Reach reach : {Reach::not_link_local, Reach::not_local})
      EXPECT_FALSE(may_connect(reach, parse_address(text).value())) << text;
  for (const char* text : {"127.0.0.1", "127.8.8.8", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1"}) {
    EXPECT_FALSE(may_connect(Reach::not_local, parse_address(text).value())) << text;
    EXPECT_TRUE(may_connect(Reach::not_link_local, parse_address(text).value())) << text;
    EXPECT_TRUE(may_connect(Reach::anywhere, parse_address(text).value())) << text;
  }
  for (const char* text : {"10.0.0.1", "192.168.1.1", "93.184.216.34", "2606:2800:220:1::1", "fd12::1"})
    EXPECT_TRUE(may_connect(Reach::not_local, parse_address(text).value())) << text;
}

TEST(Addresses, Cidr) {
  EXPECT_TRUE(Cidr::parse("10.1.0.0/16")->contains(*parse_address("10.1.255.255")));
  EXPECT_FALSE(Cidr::parse("10.1.0.0/16")->contains(*parse_address("10.2.0.0")));
  EXPECT_FALSE(Cidr::parse("::/0")->contains(*parse_address("10.2.0.0")) == false);
  EXPECT_TRUE(Cidr::parse("10.1.2.3/31")->contains(*parse_address("10.1.2.2")));
  for (const char* text : {"10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/-1", "10.0.0/8", "::1/129"})
    EXPECT_FALSE(Cidr::parse(text)) << text;
}

TEST(Challenge, Parse) {
  const auto list = parse_challenges(
      {R"(Bearer realm="https://auth.example/token?a=b,c",service="r \"x\"",scope="repository:a:pull,push", Basic realm=x)"});
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].scheme, "bearer");
  EXPECT_EQ(list[0].get("realm"), "https://auth.example/token?a=b,c");
  EXPECT_EQ(list[0].get("service"), "r \"x\"");
  EXPECT_EQ(list[0].get("scope"), "repository:a:pull,push");
  EXPECT_EQ(list[1].scheme, "basic");
  EXPECT_EQ(list[1].get("realm"), "x");
  EXPECT_THAT(parse_challenges({""}), IsEmpty());
  EXPECT_EQ(parse_challenges({"Bearer", "BASIC realm=\"unterminated"}).size(), 2U);
}

TEST(Challenge, HostileTextEnds) {
  std::mt19937 random(6);
  const std::string alphabet = "Bearer realm=\",\\ =\t\x01\xff;()";
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    const auto length = random() % 60;
    for (std::size_t i = 0; i < length; ++i) text += alphabet[random() % alphabet.size()];
    (void)parse_challenges({text});
  }
}

TEST(Base64, BothAlphabets) {
  EXPECT_EQ(base64_encode("user:pass"), "dXNlcjpwYXNz");
  EXPECT_EQ(base64_encode("a"), "YQ==");
  EXPECT_EQ(base64_decode("YQ"), "a");
  EXPECT_EQ(base64_decode("YQ=="), "a");
  EXPECT_EQ(base64_decode("-_-_"), base64_decode("+/+/"));
  EXPECT_FALSE(base64_decode("Y Q"));
  EXPECT_FALSE(base64_decode("Y"));
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (std::size_t i = random() % 20; i > 0; --i) bytes += static_cast<char>(random());
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
  }
}

TEST(Credentials, FromHeader) {
  const auto header = base64_encode(R"({"username":"u","password":"p","serveraddress":"x:5000"})");
  const auto credentials = Credentials::from_header(header);
  EXPECT_EQ(credentials.username, "u");
  EXPECT_EQ(credentials.password.reveal(), "p");
  EXPECT_EQ(credentials.server_address, "x:5000");
  EXPECT_TRUE(Credentials::from_header("").empty());
  EXPECT_TRUE(Credentials::from_header("e30=").empty());
  const auto old = Credentials::from_json(json::parse(R"({"auth":"dXNlcjpwYTpzcw=="})"));
  EXPECT_EQ(old.username + "|" + old.password.reveal(), "user|pa:ss");
}

TEST(Credentials, ErrorsNeverQuoteTheInput) {
  for (const std::string& text :
       {std::string("{\"password\":\"hunter2\""), std::string("{\"password\":[\"hunter2\"]}")}) {
    EXPECT_THAT(message_of([&] { Credentials::from_header(base64_encode(text)); }), Not(HasSubstr("hunter2")));
    EXPECT_THROW(Credentials::from_header(base64_encode(text)), Error);
  }
  EXPECT_THROW(Credentials::from_header("!!!"), Error);
}

std::vector<std::string> addresses(const RegistryOptions& options, std::string_view domain, bool push = false) {
  std::vector<std::string> out;
  for (const Endpoint& endpoint : EndpointTable(options).endpoints(domain, push))
    out.push_back(endpoint.base.origin().str() + (endpoint.verify_tls ? "" : " unverified") +
                  (endpoint.mirror ? " mirror" : ""));
  return out;
}

TEST(Endpoints, OrderAndSafety) {
  RegistryOptions options;
  EXPECT_THAT(addresses(options, "docker.io"), ElementsAre("https://registry-1.docker.io"));
  EXPECT_THAT(addresses(options, "example.com"), ElementsAre("https://example.com"));
  EXPECT_THAT(addresses(options, "127.0.0.1:5000"),
              ElementsAre("https://127.0.0.1:5000 unverified", "http://127.0.0.1:5000 unverified"));
  EXPECT_THAT(addresses(options, "localhost:5000"),
              ElementsAre("https://localhost:5000 unverified", "http://localhost:5000 unverified"));
  EXPECT_THAT(addresses(options, "[::1]:5000"),
              ElementsAre("https://[::1]:5000 unverified", "http://[::1]:5000 unverified"));
  options.insecure = {"Example.com:5000", "10.0.0.0/8"};
  EXPECT_THAT(addresses(options, "example.com:5000"),
              ElementsAre("https://example.com:5000 unverified", "http://example.com:5000 unverified"));
  EXPECT_THAT(addresses(options, "example.com:5001"), ElementsAre("https://example.com:5001"));
  EXPECT_THAT(addresses(options, "10.1.2.3:5000"),
              ElementsAre("https://10.1.2.3:5000 unverified", "http://10.1.2.3:5000 unverified"));
  EXPECT_THAT(addresses(options, "11.1.2.3:5000"), ElementsAre("https://11.1.2.3:5000"));
}

TEST(Endpoints, MirrorsServeTheHubAndPullsOnly) {
  RegistryOptions options;
  options.mirrors = {"http://127.0.0.1:5000", "https://mirror.example/prefix/"};
  EXPECT_THAT(addresses(options, "docker.io"),
              ElementsAre("http://127.0.0.1:5000 unverified mirror", "https://mirror.example mirror",
                          "https://registry-1.docker.io"));
  EXPECT_THAT(addresses(options, "docker.io", true), ElementsAre("https://registry-1.docker.io"));
  EXPECT_THAT(addresses(options, "quay.io"), ElementsAre("https://quay.io"));
  const auto endpoints = EndpointTable(options).endpoints("docker.io", false);
  EXPECT_EQ(endpoints[1].at("/v2/x").str(), "https://mirror.example/prefix/v2/x");
}

TEST(Endpoints, MalformedOptionsAreRefused) {
  const auto with = [](std::vector<std::string> mirrors, std::vector<std::string> insecure) {
    RegistryOptions options;
    options.mirrors = std::move(mirrors);
    options.insecure = std::move(insecure);
    return message_of([&] { EndpointTable table(options); });
  };
  EXPECT_THAT(with({"ftp://x"}, {}), HasSubstr("invalid mirror \"ftp://x\""));
  EXPECT_THAT(with({"https://u:hunter2@x"}, {}), HasSubstr("invalid mirror"));
  EXPECT_THAT(with({"https://x?y"}, {}), HasSubstr("invalid mirror"));
  EXPECT_THAT(with({}, {"http://x"}), HasSubstr("should not contain '://'"));
  EXPECT_THAT(with({}, {"a b"}), HasSubstr("insecure registry a b is not valid"));
}

TEST(Endpoints, Describe) {
  RegistryOptions options;
  options.insecure = {"reg:5000"};
  const std::string text = json::serialize(EndpointTable(options).describe());
  EXPECT_THAT(text, HasSubstr(R"("InsecureRegistryCIDRs":["127.0.0.0/8","::1/128"])"));
  EXPECT_THAT(text, HasSubstr(R"("reg:5000":{"Name":"reg:5000","Mirrors":[],"Secure":false,"Official":false})"));
}

TEST(Credentials, CVE_2026_33540_WhoMaySeeThem) {
  const Origin secure{"https", "registry.example", 443};
  const Origin plain{"http", "registry.example", 5000};
  const auto may = [](const Origin& from, bool verified, const char* realm, std::vector<std::string> trusted = {}) {
    return may_send_credentials(from, verified, Url::parse(realm), trusted);
  };
  EXPECT_TRUE(may(secure, true, "https://registry.example/token"));
  EXPECT_TRUE(may(secure, true, "https://auth.docker.io/token")) << "named over verified TLS";
  EXPECT_FALSE(may(secure, true, "http://registry.example/token")) << "no way down to http";
  EXPECT_FALSE(may(secure, false, "https://evil.example/token")) << "whoever answered was not verified";
  EXPECT_FALSE(may(secure, false, "https://registry.example:444/token")) << "another port is another origin";
  EXPECT_TRUE(may(secure, false, "https://registry.example/token")) << "the user made it insecure";
  EXPECT_TRUE(may(plain, false, "http://registry.example:5000/token"));
  EXPECT_FALSE(may(plain, false, "http://registry.example:5001/token"));
  EXPECT_FALSE(may(plain, false, "http://registry.example/token"));
  EXPECT_FALSE(may(plain, false, "https://evil.example/token"));
  EXPECT_TRUE(may(plain, false, "https://auth.example/token", {"auth.example"}));
  EXPECT_TRUE(may(plain, false, "https://auth.example:8443/token", {"auth.example:8443"}));
  EXPECT_FALSE(may(plain, false, "https://auth.example:8443/token", {"auth.example"}));
  EXPECT_FALSE(may(plain, false, "http://auth.example/token", {"auth.example"})) << "trusted, but in clear";
}

TEST(Reach, DependsOnWhoSendsUs) {
  const Origin local{"http", "127.0.0.1", 5000};
  const Origin remote{"https", "registry.example", 443};
  EXPECT_EQ(reach_from(local, local), Reach::anywhere);
  EXPECT_EQ(reach_from(remote, remote), Reach::anywhere);
  EXPECT_EQ(reach_from(local, remote), Reach::not_link_local);
  EXPECT_EQ(reach_from(remote, local), Reach::not_local);
}

TEST(Proxy, GoRules) {
  RegistryOptions options;
  options.http_proxy = "http://p:1";
  options.https_proxy = "http://p:2";
  options.no_proxy = "example.com, .sub.net,10.0.0.0/8,host:5000";
  const ProxyRules rules(options);
  const auto chosen = [&](const char* url) { return rules.proxy_for(Url::parse(url).origin()); };
  EXPECT_EQ(chosen("http://a.org"), "http://p:1");
  EXPECT_EQ(chosen("https://a.org"), "http://p:2");
  EXPECT_EQ(chosen("https://example.com"), "");
  EXPECT_EQ(chosen("https://x.example.com"), "");
  EXPECT_EQ(chosen("https://badexample.com"), "http://p:2");
  EXPECT_EQ(chosen("https://sub.net"), "http://p:2");
  EXPECT_EQ(chosen("https://a.sub.net"), "");
  EXPECT_EQ(chosen("https://10.2.3.4"), "");
  EXPECT_EQ(chosen("http://host:5000"), "");
  EXPECT_EQ(chosen("http://host:5001"), "http://p:1");
  EXPECT_EQ(chosen("http://127.0.0.1:5000"), "");
  EXPECT_EQ(chosen("http://localhost"), "");
}

TEST(Certificates, DockersLayout) {
  std::string pattern = "/tmp/bryo-certs-XXXXXX";
  const std::string root = ::mkdtemp(pattern.data());
  const auto touch = [&](const std::string& name) { std::ofstream(root + "/x.com:5000/" + name) << "x"; };
  std::filesystem::create_directories(root + "/x.com:5000");
  touch("ca.crt");
  touch("client.cert");
  const Origin origin = Url::parse("https://x.com:5000").origin();
  EXPECT_THAT(message_of([&] { find_certificates({root}, origin); }), HasSubstr("missing key client.key"));
  touch("client.key");
  const auto found = find_certificates({"/nonexistent", root}, origin);
  EXPECT_THAT(found.authorities, ElementsAre(root + "/x.com:5000/ca.crt"));
  EXPECT_EQ(found.client_key, root + "/x.com:5000/client.key");
  EXPECT_TRUE(find_certificates({root}, Url::parse("https://x.com").origin()).authorities.empty());
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace bryo::registry

// The client against a registry that lies, drips, cuts and sends us elsewhere.
#include "registry/client.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "registry/base64.hpp"
#include "registry/testing/evil_server.hpp"
#include "registry/url.hpp"

namespace bryo::registry {
namespace {

using testing::EvilServer;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Reply;
using testing::SeenRequest;

constexpr std::string_view kPassword = "hunter2-secret";
const std::string kDigest = "sha256:" + std::string(64, 'a');
const std::string kManifest = R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":)"
                              R"({"mediaType":"application/vnd.oci.image.config.v1+json","digest":")" +
                              kDigest + R"(","size":2},"layers":[]})";

RegistryOptions fast_options() {
  RegistryOptions options;
  options.idle_timeout = std::chrono::milliseconds(300);
  options.first_backoff = std::chrono::milliseconds(1);
  options.max_attempts = 4;
  options.certificate_directories = {};
  return options;
}

Credentials user_credentials() {
  Credentials credentials;
  credentials.username = "user";
  credentials.password = Secret(std::string(kPassword));
  return credentials;
}

Reply manifest_reply() {
  return {.headers = {{"Content-Type", std::string(oci::media::kOciManifest)}}, .body = kManifest};
}

Reply challenge(const std::string& text) { return {.status = 401, .headers = {{"WWW-Authenticate", text}}}; }

Reply redirect(const std::string& to, int status = 307) { return {.status = status, .headers = {{"Location", to}}}; }

oci::Descriptor descriptor_of(std::string_view bytes) {
  oci::Descriptor out;
  out.digest = Digest::of(bytes);
  out.size = static_cast<std::int64_t>(bytes.size());
  return out;
}

std::string pattern(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * 31 + i / 251);
  return out;
}

std::string message_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.message();
  }
  return "nothing was thrown";
}

ErrorKind kind_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::not_modified;
}

class EvilRegistry : public ::testing::Test {
 protected:
  Repository repository(const EvilServer& server, Credentials credentials = {}, bool push = false) {
    return repository_of(server.domain(), std::move(credentials), push);
  }
  Repository repository_of(const std::string& domain, Credentials credentials = {}, bool push = false) {
    RepositoryRequest request;
    request.domain = domain;
    request.path = "a/b";
    request.shown_name = domain + "/a/b";
    request.credentials = std::move(credentials);
    request.push = push;
    request.cancelled = [this] { return cancelled_.load(); };
    return client_.repository(std::move(request));
  }
  Client client_{fast_options()};
  std::atomic<bool> cancelled_ = false;
};

TEST_F(EvilRegistry, PlainHttpIsFoundAfterTls) {
  EvilServer server([](const SeenRequest&) { return manifest_reply(); });
  const auto manifest = repository(server).manifest("latest");
  EXPECT_EQ(manifest.bytes, kManifest);
  EXPECT_EQ(manifest.media_type, oci::media::kOciManifest);
  EXPECT_EQ(manifest.digest, Digest::of(kManifest));
  EXPECT_EQ(server.seen().at(0).target, "/v2/a/b/manifests/latest");
  EXPECT_THAT(server.seen().at(0).header("accept"), HasSubstr(std::string(oci::media::kDockerList)));
}

TEST_F(EvilRegistry, NoDescriptorIsInherited) {
  const auto inheritable = [] {
    int count = 0;
    for (int fd = 3; fd < 1024; ++fd) {
      const int flags = ::fcntl(fd, F_GETFD);
      count += flags >= 0 && (flags & FD_CLOEXEC) == 0 ? 1 : 0;
    }
    return count;
  };
  const int before = inheritable();
  int during = -1;
  EvilServer server([&](const SeenRequest&) {
    during = inheritable();
    return manifest_reply();
  });
  repository(server).manifest("latest");
  EXPECT_EQ(during, before);
}

TEST_F(EvilRegistry, NobodyThereReadsAsDockerSaysIt) {
  std::string domain;
  {
    domain = EvilServer([](const SeenRequest&) { return Reply{}; }).domain();
  }
  EXPECT_EQ(
      message_of([&] { repository_of(domain).manifest("latest"); }),
      "Get \"http://" + domain + "/v2/a/b/manifests/latest\": dial tcp " + domain + ": connect: connection refused");
}

TEST_F(EvilRegistry, RefusalsReadAsDockerSaysThem) {
  Reply reply;
  EvilServer server([&](const SeenRequest&) { return reply; });
  const std::string name = server.domain() + "/a/b";
  const auto said = [&] { return message_of([&] { repository(server).manifest("x"); }); };
  const auto error = [](int status, const std::string& code, const std::string& text) {
    return Reply{.status = status, .body = R"({"errors":[{"code":")" + code + R"(","message":")" + text + "\"}]}"};
  };
  reply = error(404, "MANIFEST_UNKNOWN", "manifest unknown");
  EXPECT_EQ(said(), "manifest for " + name + ":x not found: manifest unknown: manifest unknown");
  EXPECT_EQ(kind_of([&] { repository(server).manifest("x"); }), ErrorKind::not_found);
  reply = error(404, "NAME_UNKNOWN", "repository name not known to registry");
  EXPECT_EQ(said(), "repository " + name + " not found: name unknown: repository name not known to registry");
  reply = error(403, "DENIED", "requested access to the resource is denied");
  EXPECT_EQ(said(), "pull access denied for " + name +
                        ", repository does not exist or may require 'docker login': denied: requested access to the "
                        "resource is denied");
  reply = error(429, "TOOMANYREQUESTS", "slow down");
  EXPECT_EQ(said(), "toomanyrequests: slow down");
  reply = {.status = 500, .body = "<html>"};
  EXPECT_EQ(said(), "received unexpected HTTP status: 500 Internal Server Error");
  reply = {.status = 401};
  EXPECT_EQ(said(), "unauthorized: authentication required");
  EXPECT_EQ(kind_of([&] { repository(server).manifest("x"); }), ErrorKind::unauthorized);
}

TEST_F(EvilRegistry, ManifestsAreCheckedAgainstBothDigests) {
  std::string header = kDigest;
  EvilServer server([&](const SeenRequest&) {
    Reply reply = manifest_reply();
    reply.headers.emplace_back("Docker-Content-Digest", header);
    return reply;
  });
  EXPECT_EQ(message_of([&] { repository(server).manifest("latest"); }),
            "manifest verification failed for digest " + kDigest);
  header = Digest::of(kManifest).str();
  EXPECT_EQ(message_of([&] { repository(server).manifest(kDigest); }),
            "manifest verification failed for digest " + kDigest);
  EXPECT_NO_THROW(repository(server).manifest(header));
}

TEST_F(EvilRegistry, CVE_2023_25153_HugeManifestsAreNotRead) {
  Reply reply = manifest_reply();
  EvilServer server([&](const SeenRequest&) { return reply; });
  reply.claimed_length = 100L << 20;
  EXPECT_THAT(message_of([&] { repository(server).manifest("x"); }), HasSubstr("larger than 4194304 bytes"));
  reply.claimed_length = -2;  // no length at all
  reply.body = std::string(5U << 20, ' ');
  EXPECT_THAT(message_of([&] { repository(server).manifest("x"); }), HasSubstr("larger than 4194304 bytes"));
}

TEST_F(EvilRegistry, HeaderFloodsEnd) {
  Reply reply = manifest_reply();
  for (int i = 0; i < 6000; ++i) reply.headers.emplace_back("X-Flood", std::string(100, 'x'));
  EvilServer server([&](const SeenRequest&) { return reply; });
  EXPECT_EQ(kind_of([&] { repository(server).manifest("x"); }), ErrorKind::unavailable);
}

TEST_F(EvilRegistry, BasicCredentialsGoToTheRegistryThatAsks) {
  EvilServer server([](const SeenRequest& request) {
    return request.header("authorization").empty() ? challenge("Basic realm=\"x\"") : manifest_reply();
  });
  EXPECT_NO_THROW(repository(server, user_credentials()).manifest("x"));
  EXPECT_EQ(server.seen().back().header("authorization"), "Basic " + base64_encode("user:" + std::string(kPassword)));
  EXPECT_EQ(kind_of([&] { repository(server).manifest("x"); }), ErrorKind::unauthorized);
}

TEST_F(EvilRegistry, BearerTokenOfTheSameOrigin) {
  std::string url;
  EvilServer server([&](const SeenRequest& request) {
    if (request.path() == "/token") return Reply{.body = R"({"token":"abc.def","expires_in":300})"};
    if (request.header("authorization") == "Bearer abc.def") return manifest_reply();
    return challenge("Bearer realm=\"" + url + "/token\",service=\"s v\",scope=\"repository:a/b:pull\"");
  });
  url = server.url();
  auto repo = repository(server, user_credentials());
  EXPECT_NO_THROW(repo.manifest("x"));
  EXPECT_NO_THROW(repo.manifest("y"));
  ASSERT_EQ(server.seen().size(), 4U) << "one token for both";
  EXPECT_EQ(server.seen()[1].target, "/token?service=s%20v&scope=repository%3Aa%2Fb%3Apull&account=user");
  EXPECT_THAT(server.seen()[1].header("authorization"), HasSubstr("Basic "));
}

TEST_F(EvilRegistry, CVE_2026_33540_RealmOfAnotherOriginGetsNoCredentials) {
  EvilServer other([](const SeenRequest&) { return Reply{.body = R"({"token":"anonymous"})"}; });
  EvilServer server([&](const SeenRequest& request) {
    if (request.header("authorization") == "Bearer anonymous") return manifest_reply();
    return challenge("Bearer realm=\"" + other.url() + "/token\",service=\"s\"");
  });
  EXPECT_NO_THROW(repository(server, user_credentials()).manifest("x"));
  ASSERT_EQ(other.seen().size(), 1U);
  EXPECT_FALSE(other.saw_authorization());
  EXPECT_THAT(other.everything(), Not(HasSubstr("user")));
  Credentials refresh;
  refresh.identity_token = Secret(std::string(kPassword));
  EXPECT_NO_THROW(repository(server, refresh).manifest("x"));
  EXPECT_THAT(other.everything(), Not(HasSubstr(std::string(kPassword))));
}

TEST_F(EvilRegistry, TokenServicesDoNotSendUsElsewhere) {
  EvilServer other([](const SeenRequest&) { return Reply{.body = R"({"token":"x"})"}; });
  std::string url;
  EvilServer server([&](const SeenRequest& request) {
    return request.path() == "/token" ? redirect(other.url() + "/token")
                                      : challenge("Bearer realm=\"" + url + "/token\"");
  });
  url = server.url();
  EXPECT_THAT(message_of([&] { repository(server, user_credentials()).manifest("x"); }), HasSubstr("refused"));
  EXPECT_TRUE(other.seen().empty());
}

TEST_F(EvilRegistry, TokensWithLineBreaksAreRefused) {
  std::string url;
  EvilServer server([&](const SeenRequest& request) {
    return request.path() == "/token" ? Reply{.body = R"({"token":"a\r\nX-Evil: 1"})"}
                                      : challenge("Bearer realm=\"" + url + "/token\"");
  });
  url = server.url();
  EXPECT_THAT(message_of([&] { repository(server).manifest("x"); }), HasSubstr("control characters"));
  EXPECT_THAT(server.everything(), Not(HasSubstr("X-Evil")));
}

TEST_F(EvilRegistry, RealmsThatAreNoAddressesAreRefused) {
  for (const char* realm : {"file:///etc/passwd", "", "gopher://127.0.0.1/", "http://169.254.169.254/latest"}) {
    EvilServer server([&](const SeenRequest&) { return challenge(std::string("Bearer realm=\"") + realm + "\""); });
    EXPECT_NE(message_of([&] { repository(server, user_credentials()).manifest("x"); }), "nothing was thrown") << realm;
  }
}

TEST_F(EvilRegistry, EndlessChallengesEnd) {
  std::string url;
  EvilServer server([&](const SeenRequest& request) {
    return request.path() == "/token" ? Reply{.body = R"({"token":"x"})"}
                                      : challenge("Bearer realm=\"" + url + "/token\"");
  });
  url = server.url();
  EXPECT_EQ(kind_of([&] { repository(server).manifest("x"); }), ErrorKind::unauthorized);
  EXPECT_LE(server.seen().size(), 6U);
}

TEST_F(EvilRegistry, CVE_2020_15157_RedirectsCarryNoAuthorization) {
  const std::string content = pattern(1000);
  EvilServer other([&](const SeenRequest&) { return Reply{.body = content}; });
  EvilServer server([&](const SeenRequest& request) {
    if (request.header("authorization").empty()) return challenge("Basic realm=\"x\"");
    return redirect(other.url() + "/bucket/blob?sig=1");
  });
  EXPECT_EQ(repository(server, user_credentials()).blob_text(descriptor_of(content)), content);
  EXPECT_TRUE(server.saw_authorization());
  EXPECT_FALSE(other.saw_authorization());
}

TEST_F(EvilRegistry, CVE_2020_15157_ForeignChallengesAreNotAnswered) {
  for (const std::string kind : {"Basic realm=\"x\"", "Bearer realm=\"http://127.0.0.1:1/t\",service=\"s\""}) {
    EvilServer other([&](const SeenRequest&) { return challenge(kind); });
    EvilServer server([&](const SeenRequest& request) {
      if (request.header("authorization").empty()) return challenge("Basic realm=\"x\"");
      return redirect(other.url() + "/blob");
    });
    EXPECT_EQ(kind_of([&] { repository(server, user_credentials()).blob_text(descriptor_of("x")); }),
              ErrorKind::unauthorized);
    EXPECT_EQ(other.seen().size(), 1U);
    EXPECT_FALSE(other.saw_authorization());
  }
}

TEST_F(EvilRegistry, CVE_2020_15157_ForeignLayerAddressesAreNotContacted) {
  EvilServer other([](const SeenRequest&) { return Reply{}; });
  EvilServer server([](const SeenRequest&) { return Reply{.status = 404}; });
  oci::Descriptor layer = descriptor_of("x");
  layer.urls = {other.url() + "/layer"};
  EXPECT_EQ(kind_of([&] { repository(server, user_credentials()).blob(layer); }), ErrorKind::not_found);
  EXPECT_TRUE(other.seen().empty());
}

TEST_F(EvilRegistry, RedirectsToOtherPlacesAreRefused) {
  const std::vector<std::pair<std::string, ErrorKind>> rows = {
      {"file:///etc/passwd", ErrorKind::invalid_argument},
      {"gopher://127.0.0.1/", ErrorKind::invalid_argument},
      {"http://user:pw@127.0.0.1/", ErrorKind::invalid_argument},
      {"http://169.254.169.254/latest/meta-data/", ErrorKind::permission},
      {"http://[::ffff:169.254.169.254]/", ErrorKind::permission},
      {"http://[fe80::1]/", ErrorKind::permission},
      {"", ErrorKind::unavailable},
  };
  for (const auto& [to, kind] : rows) {
    EvilServer server([&, to = to](const SeenRequest&) { return redirect(to); });
    EXPECT_EQ(kind_of([&] { repository(server).blob_text(descriptor_of("x")); }), kind) << to;
  }
}

TEST_F(EvilRegistry, RedirectLoopsEnd) {
  std::string url;
  EvilServer server([&](const SeenRequest&) { return redirect(url + "/v2/again"); });
  url = server.url();
  EXPECT_THAT(message_of([&] { repository(server).blob_text(descriptor_of("x")); }),
              HasSubstr("stopped after 10 redirects"));
  EXPECT_LE(server.seen().size(), 12U);
}

TEST_F(EvilRegistry, BrokenBlobsGoOnWhereTheyBroke) {
  const std::string content = pattern(300000);
  int calls = 0;
  EvilServer server([&](const SeenRequest& request) {
    std::size_t from = 0;
    if (const auto range = request.header("range"); !range.empty()) from = std::stoul(range.substr(6));
    Reply reply{.status = from > 0 ? 206 : 200, .body = content.substr(from)};
    if (from > 0)
      reply.headers.emplace_back("Content-Range",
                                 fmt::format("bytes {}-{}/{}", from, content.size() - 1, content.size()));
    if (++calls < 3) reply.cut_after = 100000;
    return reply;
  });
  auto repo = repository(server);
  EXPECT_EQ(repo.blob_text(descriptor_of(content)), content);
  ASSERT_EQ(server.seen().size(), 3U);
  EXPECT_EQ(server.seen()[1].header("range"), "bytes=100000-");
}

TEST_F(EvilRegistry, RangeAnsweredWithTheWhole) {
  const std::string content = pattern(300000);
  int calls = 0;
  EvilServer server([&](const SeenRequest&) {
    Reply reply{.body = content};
    if (++calls == 1) reply.cut_after = 100000;
    return reply;
  });
  EXPECT_EQ(repository(server).blob_text(descriptor_of(content)), content);
}

TEST_F(EvilRegistry, BlobsThatChangeBetweenTriesAreRefused) {
  const std::string content = pattern(300000);
  int calls = 0;
  EvilServer server([&](const SeenRequest&) {
    Reply reply{.body = calls == 0 ? content : std::string(content.size(), 'x')};
    if (++calls == 1) reply.cut_after = 100000;
    return reply;
  });
  EXPECT_EQ(message_of([&] { repository(server).blob_text(descriptor_of(content)); }),
            "filesystem layer verification failed for digest " + Digest::of(content).str());
}

TEST_F(EvilRegistry, AnotherRangeThanAskedForIsRefused) {
  const std::string content = pattern(300000);
  int calls = 0;
  EvilServer server([&](const SeenRequest&) {
    if (++calls == 1) return Reply{.body = content, .cut_after = 100000};
    return Reply{.status = 206, .headers = {{"Content-Range", "bytes 0-299999/300000"}}, .body = content};
  });
  EXPECT_THAT(message_of([&] { repository(server).blob_text(descriptor_of(content)); }), HasSubstr("another range"));
}

TEST_F(EvilRegistry, WrongBytesAreRefused) {
  EvilServer server([](const SeenRequest&) { return Reply{.body = "evil"}; });
  EXPECT_EQ(message_of([&] { repository(server).blob_text(descriptor_of("good")); }),
            "filesystem layer verification failed for digest " + Digest::of("good").str());
}

TEST_F(EvilRegistry, LyingLengthsAreRefused) {
  const std::string content = pattern(1000);
  Reply reply{.body = content};
  EvilServer server([&](const SeenRequest&) { return reply; });
  const auto said = [&] { return message_of([&] { repository(server).blob_text(descriptor_of(content)); }); };
  reply.claimed_length = 500;
  EXPECT_THAT(said(), HasSubstr("the registry offers 500 bytes, the manifest says 1000"));
  reply.claimed_length = 2000;
  EXPECT_THAT(said(), HasSubstr("the registry offers 2000 bytes"));
  reply.claimed_length = -2;
  reply.body = content + "more";
  EXPECT_THAT(said(), HasSubstr("more than the 1000 bytes"));
  reply.body = content.substr(0, 500);
  EXPECT_THAT(said(), HasSubstr("unexpected EOF after 500 of 1000 bytes"));
}

TEST_F(EvilRegistry, DripsAndSilenceEnd) {
  const std::string content = pattern(100000);
  Reply reply{.body = content, .drip = std::chrono::milliseconds(5)};
  EvilServer server([&](const SeenRequest&) { return reply; });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(kind_of([&] { repository(server).blob_text(descriptor_of(content)); }), ErrorKind::unavailable);
  reply = {.silent = true};
  EXPECT_THAT(message_of([&] { repository(server).manifest("x"); }), HasSubstr("no data for 300 ms"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST_F(EvilRegistry, CancelEndsEveryWait) {
  EvilServer silent([](const SeenRequest&) { return Reply{.silent = true}; });
  EvilServer busy([this](const SeenRequest&) {
    cancelled_ = true;
    return Reply{.status = 429, .headers = {{"Retry-After", "1000000000"}}};
  });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(kind_of([&] { repository(busy).manifest("x"); }), ErrorKind::cancelled);
  std::thread later([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    cancelled_ = true;
  });
  cancelled_ = false;
  EXPECT_EQ(kind_of([&] { repository(silent).manifest("x"); }), ErrorKind::cancelled);
  later.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST_F(EvilRegistry, TemporaryRefusalsAreTriedAgain) {
  int calls = 0;
  EvilServer server([&](const SeenRequest&) { return ++calls < 3 ? Reply{.status = 503} : manifest_reply(); });
  EXPECT_NO_THROW(repository(server).manifest("x"));
  calls = -100;
  EXPECT_EQ(kind_of([&] { repository(server).manifest("x"); }), ErrorKind::unavailable);
}

TEST_F(EvilRegistry, SecretsStayOutOfLogsAndErrors) {
  EvilServer other([](const SeenRequest&) { return Reply{.status = 401}; });
  std::string url;
  EvilServer server([&](const SeenRequest& request) {
    if (request.path() == "/token")
      return Reply{.status = 401, .body = R"({"details":"incorrect username or password"})"};
    return challenge("Bearer realm=\"" + (request.target.ends_with("y") ? other.url() : url) + "/token\"");
  });
  url = server.url();
  ::testing::internal::CaptureStderr();
  const std::string first = message_of([&] { repository(server, user_credentials()).manifest("x"); });
  const std::string second = message_of([&] { repository(server, user_credentials()).manifest("y"); });
  const std::string all = first + second + ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(first, HasSubstr("unauthorized: incorrect username or password"));
  EXPECT_THAT(all, Not(HasSubstr(std::string(kPassword))));
  EXPECT_THAT(all, Not(HasSubstr(base64_encode("user:" + std::string(kPassword)))));
}

TEST_F(EvilRegistry, TagsFollowLinksOfTheSameHostOnly) {
  std::string next = "</v2/a/b/tags/list?last=b>; rel=\"next\"";
  EvilServer server([&](const SeenRequest& request) {
    if (request.target.find("last=") != std::string::npos) return Reply{.body = R"({"tags":["c"]})"};
    return Reply{.headers = {{"Link", next}}, .body = R"({"tags":["a","b"]})"};
  });
  EXPECT_THAT(repository(server).tags(), ::testing::ElementsAre("a", "b", "c"));
  next = "<http://127.0.0.1:1/x>; rel=\"next\"";
  EXPECT_THAT(message_of([&] { repository(server).tags(); }), HasSubstr("another host"));
}

TEST_F(EvilRegistry, UploadIsOneConversation) {
  const std::string content = pattern(200000);
  EvilServer server([&](const SeenRequest& request) {
    if (request.method == "HEAD") return Reply{.status = 404};
    if (request.method == "POST" && request.target.find("mount=") != std::string::npos) return Reply{.status = 201};
    if (request.method == "POST") return Reply{.status = 202, .headers = {{"Location", "/up/1?state=x"}}};
    if (request.method == "PATCH") return Reply{.status = 202, .headers = {{"Location", "/up/2?state=y"}}};
    return Reply{.status = 201};
  });
  auto repo = repository(server, {}, true);
  const Digest digest = Digest::of(content);
  EXPECT_FALSE(repo.has_blob(digest));
  EXPECT_TRUE(repo.mount_blob(digest, "c/d"));
  std::uint64_t sent = 0;
  repo.upload_blob(
      digest, content.size(), [&] { return std::make_unique<MemorySource>(content); },
      [&](std::uint64_t bytes) { sent = bytes; });
  EXPECT_EQ(sent, content.size());
  const auto seen = server.seen();
  const auto count = seen.size();
  EXPECT_EQ(seen[count - 2].body, content);
  EXPECT_EQ(seen[count - 2].target, "/up/1?state=x");
  EXPECT_EQ(seen[count - 1].target, "/up/2?state=y&digest=" + percent_encode(digest.str()));
  EXPECT_EQ(repo.put_manifest("t", oci::media::kOciManifest, kManifest), Digest::of(kManifest));
  EXPECT_EQ(server.seen().back().header("content-type"), oci::media::kOciManifest);
}

TEST_F(EvilRegistry, UploadIntoARegistryThatCannotWrite) {
  EvilServer server([&](const SeenRequest& request) {
    return request.method == "HEAD"
               ? Reply{.status = 404}
               : Reply{.status = 500, .body = R"({"errors":[{"code":"UNKNOWN","message":"unknown error"}]})"};
  });
  auto repo = repository(server, {}, true);
  EXPECT_EQ(
      message_of([&] { repo.upload_blob(Digest::of("x"), 1, [] { return std::make_unique<MemorySource>("x"); }, {}); }),
      "received unexpected HTTP status: 500 Internal Server Error");
}

TEST_F(EvilRegistry, LoginTellsRightFromWrong) {
  EvilServer server([](const SeenRequest& request) {
    return request.header("authorization") == "Basic " + base64_encode("user:" + std::string(kPassword))
               ? Reply{}
               : challenge("Basic realm=\"x\"");
  });
  Credentials credentials = user_credentials();
  credentials.server_address = server.domain();
  EXPECT_EQ(client_.login(credentials).status, "Login Succeeded");
  credentials.password = Secret("wrong");
  EXPECT_EQ(kind_of([&] { client_.login(credentials); }), ErrorKind::unauthorized);
}

TEST_F(EvilRegistry, MirrorsGetNoCredentialsAndTheirLackIsNotTheEnd) {
  EvilServer mirror([](const SeenRequest&) { return challenge("Basic realm=\"x\""); });
  RegistryOptions options = fast_options();
  options.mirrors = {mirror.url()};
  Client client(options);
  RepositoryRequest request;
  request.domain = "docker.io";
  request.path = "library/busybox";
  request.credentials = user_credentials();
  // The hub is not asked in tests: the resolver is told that the operation was given up when it comes to that.
  request.cancelled = [&] { return mirror.seen().size() > 0; };
  EXPECT_EQ(kind_of([&] { client.repository(request).manifest("x"); }), ErrorKind::cancelled);
  EXPECT_FALSE(mirror.saw_authorization());
}

}  // namespace
}  // namespace bryo::registry

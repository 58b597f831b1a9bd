// Routes through a real server, with a fake engine behind them: what is called, and what clients of each version see.
#include "api/routes.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>

#include "api/detach_keys.hpp"
#include "api/fake_engine.hpp"
#include "api/handler_tools.hpp"
#include "api/test_server.hpp"

namespace bryo::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

struct RoutesTest : testing::Test {
  FakeEngine& fake = FakeEngine::instance();
  engine::Engine engine{engine::Options()};
  std::unique_ptr<TestServer> host;

  void SetUp() override {
    fake.reset();
    Router router;
    add_routes(router, engine);
    host = std::make_unique<TestServer>(std::move(router), ServerOptions());
    host->start();
  }

  std::string send(std::string_view method, std::string_view target, std::string_view body = "",
                   std::string_view headers = "") {
    auto client = host->connect();
    client.send(fmt::format("{} {} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n{}Content-Length: {}\r\n\r\n{}", method,
                            target, headers, body.size(), body));
    return client.read_to_end();
  }
  std::string get(std::string_view target) { return send("GET", target); }
  std::string post(std::string_view target, std::string_view body = "") {
    return send("POST", target, body, body.empty() ? "" : "Content-Type: application/json\r\n");
  }
  static std::string status(const std::string& reply) { return reply.substr(9, 3); }
  static std::string body(const std::string& reply) { return reply.substr(reply.find("\r\n\r\n") + 4); }
  json::Value json_of(const std::string& reply) { return json::parse(body(reply)); }
  // A pipe whose reading end the next streaming call gives away; `text` is already in it and its writer closed.
  void give_stream(std::string_view text) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    ASSERT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::close(ends[1]);
    fake.stream.reset(ends[0]);
  }
};

TEST_F(RoutesTest, Ping_TellsClientsWhatTheyNegotiateWith) {
  const std::string reply = send("HEAD", "/_ping");
  EXPECT_EQ(status(reply), "200");
  for (const char* header : {"Api-Version: 1.47", "Builder-Version: 1", "Swarm: inactive", "Cache-Control: no-cache"})
    EXPECT_THAT(reply, HasSubstr(header));
  EXPECT_EQ(body(reply), "");
  EXPECT_EQ(body(get("/_ping")), "OK");
}

TEST_F(RoutesTest, Lifecycle_ArgumentsAndStatuses) {
  const std::pair<const char*, const char*> cases[] = {
      {"/containers/web/start", "container_start web"},
      {"/containers/web/stop?t=3", "container_stop web 3 "},
      {"/containers/web/stop?t=-1&signal=SIGINT", "container_stop web -1 SIGINT"},
      {"/v1.41/containers/web/stop?signal=SIGINT", "container_stop web - "},
      {"/containers/web/restart", "container_restart web - "},
      {"/containers/web/kill?signal=USR1", "container_kill web USR1"},
      {"/containers/web/pause", "container_pause web"},
      {"/containers/web/unpause", "container_unpause web"},
      {"/containers/web/rename?name=new", "container_rename web new"},
  };
  for (const auto& [target, call] : cases) {
    EXPECT_EQ(status(post(target)), "204") << target;
    EXPECT_EQ(fake.last_call(), call);
  }
  EXPECT_EQ(status(send("DELETE", "/containers/web?v=1&force=true")), "204");
  EXPECT_EQ(fake.last_call(), "container_remove web v=true force=true link=false");
  EXPECT_EQ(status(post("/containers/web/stop?t=soon")), "400");
  EXPECT_EQ(status(post("/containers/web/rename")), "400");
  EXPECT_EQ(status(post("/containers/web/start", R"({"Binds":["/:/host"]})")), "400");
  fake.failures.emplace("container_start", Error(ErrorKind::not_modified, "already started"));
  EXPECT_EQ(status(post("/containers/web/start")), "304");
}

TEST_F(RoutesTest, Ports_AreAddedAndRemovedByTheirBindings) {
  fake.answer = json::parse(R"({"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}]})");
  const std::string bindings = R"({"80/tcp":[{"HostIp":"","HostPort":"8080"}]})";
  const std::string added = post("/bryo/containers/web/ports", bindings);
  EXPECT_EQ(status(added), "200");
  EXPECT_EQ(json_of(added), fake.answer);
  EXPECT_EQ(fake.last_call(), "container_add_ports web " + bindings);
  EXPECT_EQ(status(send("DELETE", "/v1.47/bryo/containers/web/ports", bindings, "Content-Type: application/json\r\n")),
            "200");
  EXPECT_EQ(fake.last_call(), "container_remove_ports web " + bindings);
  EXPECT_EQ(status(post("/bryo/containers/web/ports", "[]")), "400");
}

TEST_F(RoutesTest, Create_ReadsTheThreePartsOfTheBody) {
  const std::string reply = post("/containers/create?name=web&platform=linux/amd64", R"({
      "Image":"busybox","Cmd":"true","Env":["A=b"],"Labels":{"a":"b"},
      "HostConfig":{"Memory":1048576,"Binds":["/a:/b"],"RestartPolicy":{"Name":"always"},"Annotations":{"k":"v"}},
      "NetworkingConfig":{"EndpointsConfig":{"mynet":{"Aliases":["x"]}}}})");
  EXPECT_EQ(status(reply), "201");
  EXPECT_EQ(body(reply), "{\"Id\":\"c0ffee\",\"Warnings\":[]}\n");
  EXPECT_EQ(fake.created.name, "web");
  EXPECT_EQ(fake.created.platform, "linux/amd64");
  EXPECT_EQ(fake.created.config.image, "busybox");
  EXPECT_THAT(fake.created.config.cmd.list(), ElementsAre("true"));
  EXPECT_EQ(fake.created.host_config.memory, 1048576);
  EXPECT_EQ(fake.created.host_config.restart_policy.name, "always");
  EXPECT_EQ(fake.created.host_config.annotations.at("k"), "v");
  EXPECT_EQ(fake.created.networking.endpoints_config.count("mynet"), 1U);
  EXPECT_EQ(fake.created.caller.uid, geteuid());
}

TEST_F(RoutesTest, Create_OlderVersionsCannotUseNewerFields) {
  const char* create = R"({"Image":"x","HostConfig":{"Annotations":{"k":"v"},"ConsoleSize":[2,3],
      "Mounts":[{"Type":"bind","Source":"/a","Target":"/b","BindOptions":{"CreateMountpoint":true,"NonRecursive":true},
                 "VolumeOptions":{"NoCopy":true}}]}})";
  EXPECT_EQ(status(post("/v1.39/containers/create?platform=linux/arm64", create)), "201");
  EXPECT_EQ(fake.created.platform, "");
  EXPECT_TRUE(fake.created.host_config.annotations.empty());
  EXPECT_EQ(fake.created.host_config.console_size[0], 0U);
  EXPECT_EQ(fake.created.host_config.ipc_mode, "shareable");
  const auto& mount = fake.created.host_config.mounts.at(0);
  EXPECT_FALSE(mount.bind_options->create_mountpoint);
  EXPECT_FALSE(mount.bind_options->non_recursive);
  EXPECT_FALSE(mount.volume_options.has_value());
  const std::string reply = post("/v1.42/containers/create", create);
  EXPECT_EQ(status(reply), "400");
  EXPECT_THAT(reply, HasSubstr("VolumeOptions must not be specified"));
}

TEST_F(RoutesTest, Create_FieldsOf144To146) {
  const char* create = R"({"Image":"x","Healthcheck":{"StartInterval":2000000000},
      "HostConfig":{"NetworkMode":"a","Mounts":[
        {"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,"BindOptions":{"ReadOnlyNonRecursive":true}},
        {"Type":"volume","Source":"v","Target":"/c","VolumeOptions":{"Subpath":"d"}},
        {"Type":"tmpfs","Target":"/e","TmpfsOptions":{"Options":[["exec"]]}}]},
      "NetworkingConfig":{"EndpointsConfig":{"a":{"MacAddress":"02:42:ac:11:00:07"}}}})";
  const auto& mounts = fake.created.host_config.mounts;
  EXPECT_EQ(status(post("/v1.43/containers/create", create)), "201");
  EXPECT_EQ(fake.created.config.healthcheck->start_interval, 0);
  EXPECT_FALSE(mounts.at(0).bind_options->read_only_non_recursive);
  EXPECT_EQ(fake.created.networking.endpoints_config.at("a").mac_address, "");
  EXPECT_EQ(status(post("/v1.44/containers/create", create)), "201");
  EXPECT_EQ(fake.created.config.healthcheck->start_interval, 2000000000);
  EXPECT_TRUE(mounts.at(0).bind_options->read_only_non_recursive);
  EXPECT_EQ(mounts.at(1).volume_options->subpath, "");
  EXPECT_EQ(fake.created.networking.endpoints_config.at("a").mac_address, "02:42:ac:11:00:07");
  EXPECT_EQ(status(post("/v1.45/containers/create", create)), "201");
  EXPECT_EQ(mounts.at(1).volume_options->subpath, "d");
  EXPECT_TRUE(mounts.at(2).tmpfs_options->options.empty());
  EXPECT_EQ(status(post("/v1.46/containers/create", create)), "201");
  EXPECT_THAT(mounts.at(2).tmpfs_options->options, ElementsAre(ElementsAre("exec")));
}

TEST_F(RoutesTest, Create_SeveralNetworksSince144) {
  const char* create = R"({"Image":"x","NetworkingConfig":{"EndpointsConfig":{"a":{},"b":{}}}})";
  const std::string refused = post("/v1.43/containers/create", create);
  EXPECT_EQ(status(refused), "400");
  EXPECT_THAT(refused, HasSubstr("Container cannot be connected to network endpoints: a, b"));
  EXPECT_EQ(status(post("/v1.44/containers/create", create)), "201");
  EXPECT_EQ(fake.created.networking.endpoints_config.size(), 2U);
  const char* conflict = R"({"Image":"x","MacAddress":"02:42:ac:11:00:08","HostConfig":{"NetworkMode":"a"},
      "NetworkingConfig":{"EndpointsConfig":{"a":{"MacAddress":"02:42:ac:11:00:07"}}}})";
  EXPECT_EQ(status(post("/v1.44/containers/create", conflict)), "400");
}

TEST_F(RoutesTest, Inspect_TheShortIdIsAnAliasUntil145) {
  fake.inspected.id = std::string(64, 'c');
  fake.inspected.network_settings.networks["mine"].dns_names = {{"web", "cccccccccccc"}};
  fake.inspected.network_settings.networks["bridge"];
  EXPECT_THAT(get("/v1.44/containers/web/json"), HasSubstr(R"("Aliases":["cccccccccccc"])"));
  const std::string now = get("/v1.45/containers/web/json");
  EXPECT_THAT(now, testing::Not(HasSubstr(R"("Aliases":["cccccccccccc"])")));
  EXPECT_THAT(now, HasSubstr(R"("DNSNames":["web","cccccccccccc"])"));
}

TEST_F(RoutesTest, ImageInspect_SinceVersion144And145) {
  fake.answer = json::Object{{"Size", 5}, {"Created", ""}, {"Container", ""}, {"ContainerConfig", nullptr}};
  EXPECT_EQ(body(get("/v1.43/images/x/json")),
            "{\"Size\":5,\"Created\":\"0001-01-01T00:00:00Z\",\"Container\":\"\",\"ContainerConfig\":null,"
            "\"VirtualSize\":5}\n");
  EXPECT_EQ(body(get("/v1.44/images/x/json")), "{\"Size\":5,\"ContainerConfig\":null,\"Container\":\"\"}\n");
  EXPECT_EQ(body(get("/v1.45/images/x/json")), "{\"Size\":5}\n");
}

TEST_F(RoutesTest, Push_OfAPlatformThatTheImageIsNot) {
  fake.answer = json::Object{{"Os", "linux"}, {"Architecture", "amd64"}, {"Variant", ""}};
  EXPECT_EQ(status(post(R"(/v1.46/images/x/push?platform={"os":"linux","architecture":"arm64"})")), "404");
  EXPECT_EQ(status(post(R"(/v1.46/images/x/push?platform={"os":"linux","architecture":"amd64"})")), "200");
  EXPECT_EQ(status(post(R"(/v1.46/images/x/push?platform=nonsense)")), "400");
}

TEST_F(RoutesTest, BadJson_Is400AndNamesTheField) {
  for (const char* bad : {"{", "[]", "null", "{\"Image\":1}", "{\"HostConfig\":{\"Memory\":\"much\"}}", "{} {}",
                          "{\"Image\":\"a\",\"Image\":\"b\"}", "{\"HostConfig\":{\"Memory\":99999999999999999999}}"})
    EXPECT_EQ(status(post("/containers/create", bad)), "400") << bad;
  EXPECT_EQ(status(post("/containers/create", std::string(100000, '['))), "400");
  EXPECT_THAT(post("/containers/create", "{\"HostConfig\":{\"Memory\":\"much\"}}"), HasSubstr("HostConfig.Memory"));
  EXPECT_THAT(send("POST", "/containers/create", "{}", "Content-Type: text/plain\r\n"),
              HasSubstr("Content-Type specified (text/plain) must be 'application/json'"));
  EXPECT_TRUE(fake.calls().empty());
}

TEST_F(RoutesTest, List_PassesFiltersOfBothForms) {
  EXPECT_EQ(body(get(R"(/v1.24/containers/json?all=1&limit=5&filters={"status":{"exited":true}})")), "[]\n");
  EXPECT_EQ(fake.last_call(), "container_list all=true limit=5 size=false {status=exited;}");
  get(R"(/containers/json?filters=%7B%22label%22%3A%5B%22a%22%5D%7D)");
  EXPECT_EQ(fake.last_call(), "container_list all=false limit=0 size=false {label=a;}");
  EXPECT_EQ(status(get("/containers/json?filters=nonsense")), "400");
}

TEST_F(RoutesTest, Update_OnlyWhatIsGiven) {
  EXPECT_EQ(body(post("/containers/web/update", R"({"Memory":7,"RestartPolicy":{"Name":"no"}})")),
            "{\"Warnings\":[]}\n");
  EXPECT_EQ(fake.last_call(), "container_update web memory=7 policy=no");
  post("/containers/web/update", R"({"CpuShares":2})");
  EXPECT_EQ(fake.last_call(), "container_update web memory=0 policy=-");
}

TEST_F(RoutesTest, Wait_AnswersItsHeadBeforeTheContainerExits) {
  auto client = host->connect();
  client.send("POST /v1.47/containers/web/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\n\r\n");
  ASSERT_TRUE(client.read_until("\r\n\r\n"));
  EXPECT_EQ(fake.last_call(), "container_wait web 1");
  fake.waiter()({3, std::nullopt});
  ASSERT_TRUE(client.read_until("\r\n0\r\n\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("{\"StatusCode\":3}\n"));
}

TEST_F(RoutesTest, Wait_OldVersionsGetTheHeadWithTheBody) {
  auto client = host->connect();
  client.send("POST /v1.29/containers/web/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\n\r\n");
  const auto exits = fake.waiter();
  EXPECT_FALSE(client.read_until("HTTP", 200));
  EXPECT_EQ(fake.last_call(), "container_wait web 0");
  exits({3, std::nullopt});
  EXPECT_THAT(client.read_reply(), testing::EndsWith("{\"StatusCode\":3}\n"));
  EXPECT_EQ(status(post("/containers/web/wait?condition=later")), "400");
  fake.failures.emplace("container_wait", Error(ErrorKind::not_found, "No such container: web"));
  EXPECT_EQ(status(post("/containers/web/wait")), "404");
}

TEST_F(RoutesTest, Wait_AlreadyOverWhenAsked) {
  fake.exits_at_once = true;
  EXPECT_THAT(post("/v1.35/containers/web/wait"), HasSubstr("{\"StatusCode\":7,\"Error\":null}\n"));
}

TEST_F(RoutesTest, Logs_ContentTypeByVersionAndTerminal) {
  give_stream("frames");
  std::string reply = get("/containers/web/logs?stdout=1&stderr=1&tail=5&since=1.5");
  EXPECT_THAT(reply, HasSubstr("Content-Type: application/vnd.docker.multiplexed-stream\r\n"));
  EXPECT_THAT(reply, HasSubstr("\r\n\r\n6\r\nframes\r\n0\r\n\r\n"));
  EXPECT_EQ(fake.last_call(), "container_logs web out=true err=true follow=false times=false since=1.5 until= tail=5");
  give_stream("frames");
  EXPECT_THAT(get("/v1.41/containers/web/logs?stdout=1"), HasSubstr("application/vnd.docker.raw-stream"));
  give_stream("raw");
  fake.tty = true;
  EXPECT_THAT(get("/containers/web/logs?stdout=1"), HasSubstr("application/vnd.docker.raw-stream"));
  EXPECT_EQ(status(get("/containers/web/logs")), "400");
}

TEST_F(RoutesTest, Attach_DetachKeysEndTheClientOnly) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  UniqueFd engine_end(ends[0]);
  fake.stream.reset(ends[1]);
  fake.tty = true;
  auto client = host->connect();
  client.send(
      "POST /containers/web/attach?stream=1&stdin=1&stdout=1&detachKeys=ctrl-a,d HTTP/1.1\r\nHost: d\r\n"
      "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
  ASSERT_TRUE(client.read_until("\r\n\r\n"));
  EXPECT_EQ(fake.last_call(), "container_attach web ios");
  client.send("ls\x01x\x01");
  client.send("d and more");
  std::string input;
  char buffer[64];
  for (ssize_t got; (got = ::read(engine_end.get(), buffer, sizeof buffer)) > 0;)
    input.append(buffer, static_cast<std::size_t>(got));
  EXPECT_EQ(input, "ls\x01x");
  client.read_to_end();
  EXPECT_EQ(fake.last_call(), "container_detached web");
}

TEST_F(RoutesTest, Exec_CreateStartAndMissingCommand) {
  EXPECT_EQ(body(post("/containers/web/exec", R"({"Cmd":["ls","-l"],"ConsoleSize":[1,2]})")), "{\"Id\":\"e1\"}\n");
  EXPECT_EQ(fake.last_call(), "exec_create web ls -l size=true");
  post("/v1.41/containers/web/exec", R"({"Cmd":["ls"],"ConsoleSize":[1,2]})");
  EXPECT_EQ(fake.last_call(), "exec_create web ls size=false");
  EXPECT_EQ(status(post("/containers/web/exec", R"({"Cmd":[]})")), "400");
  EXPECT_EQ(status(post("/exec/e1/start", R"({"Detach":true})")), "200");
  fake.failures.emplace("exec_start",
                        Error(ErrorKind::invalid_argument, "exec: \"nope\": not found").with_exit_code(127));
  const std::string reply = post("/exec/e1/start", R"({"Detach":false})");
  EXPECT_EQ(status(reply), "200");
  EXPECT_EQ(body(reply), std::string("\x01\0\0\0\0\0\0\x19", 8) + "exec: \"nope\": not found\r\n");
  EXPECT_EQ(status(post("/exec/e1/start", R"({"Detach":true})")), "400");
}

TEST_F(RoutesTest, Archive_StatHeaderAndBothDirections) {
  fake.tar = "tar bytes";
  std::string reply = send("HEAD", "/containers/web/archive?path=/etc");
  const std::string stat = R"({"name":"etc","size":5,"mode":420,"mtime":"2026-01-02T03:04:05Z","linkTarget":""})";
  EXPECT_THAT(reply, HasSubstr("X-Docker-Container-Path-Stat: " + encode_base64(stat) + "\r\n"));
  reply = get("/containers/web/archive?path=/etc");
  EXPECT_THAT(reply, HasSubstr("X-Docker-Container-Path-Stat: "));
  EXPECT_THAT(reply, HasSubstr("tar bytes"));
  EXPECT_EQ(status(send("PUT", "/containers/web/archive?path=/tmp&copyUIDGID=1", "uploaded")), "200");
  EXPECT_EQ(fake.tar, "uploaded");
  EXPECT_EQ(fake.last_call(), "archive_put web /tmp falsetrue");
  EXPECT_EQ(status(get("/containers/web/archive")), "400");
}

TEST_F(RoutesTest, Pull_StreamsLinesAndSpeaksErrorsInBand) {
  fake.transfer = [](const engine::ProgressSink& progress, const engine::Cancelled&) {
    progress(json::Object{{"status", "Pulling from library/busybox"}, {"id", "latest"}});
    fail(ErrorKind::unavailable, "connection refused");
  };
  const std::string reply = send("POST", "/images/create?fromImage=busybox&tag=latest&platform=linux/amd64", "",
                                 "X-Registry-Auth: eyJ1c2VybmFtZSI6ImEifQ==\r\n");
  EXPECT_EQ(fake.last_call(), "image_pull busybox latest linux/amd64 {\"username\":\"a\"}");
  EXPECT_EQ(status(reply), "200");
  EXPECT_THAT(reply, HasSubstr("{\"status\":\"Pulling from library/busybox\",\"id\":\"latest\"}\r\n"));
  EXPECT_THAT(reply,
              HasSubstr("{\"errorDetail\":{\"message\":\"connection refused\"},\"error\":\"connection refused\"}"));
  EXPECT_EQ(status(send("POST", "/images/create?fromImage=x", "", "X-Registry-Auth: !!\r\n")), "400");
  EXPECT_EQ(status(post("/images/create")), "400");
}

TEST_F(RoutesTest, Import_Load_Save_MoveTheBytes) {
  EXPECT_THAT(send("POST", "/images/create?fromSrc=-&repo=x&tag=y&message=m&changes=CMD+a&changes=ENV+b", "layer"),
              HasSubstr("{\"status\":\"sha256:1234\"}"));
  EXPECT_EQ(fake.last_call(), "image_import x y m CMD a|ENV b");
  EXPECT_EQ(fake.tar, "layer");
  EXPECT_EQ(status(post("/images/create?fromSrc=http://host/x.tar")), "501");
  EXPECT_THAT(send("POST", "/images/load?quiet=1", "archive"), HasSubstr("Loaded image: x:latest"));
  EXPECT_EQ(fake.last_call(), "image_load quiet=true");
  EXPECT_THAT(get("/images/get?names=a&names=b%2Fc:d"), HasSubstr("archive"));
  EXPECT_EQ(fake.last_call(), "image_save a b/c:d");
  get("/images/127.0.0.1:5000/hello:user/get");
  EXPECT_EQ(fake.last_call(), "image_save 127.0.0.1:5000/hello:user");
  EXPECT_EQ(status(get("/images/get")), "400");
}

TEST_F(RoutesTest, Images_NamesWithSlashes) {
  fake.answer = json::Object{{"Size", 5}};
  EXPECT_EQ(body(get("/v1.43/images/library/busybox:latest/json")), "{\"Size\":5,\"VirtualSize\":5}\n");
  EXPECT_EQ(fake.last_call(), "image_inspect library/busybox:latest");
  EXPECT_EQ(status(post("/images/hello-world/tag?repo=127.0.0.1:5000/hello&tag=user")), "201");
  EXPECT_EQ(fake.last_call(), "image_tag hello-world 127.0.0.1:5000/hello user");
  post("/images/127.0.0.1:5000/hello/push?tag=user");
  EXPECT_EQ(fake.last_call(), "image_push 127.0.0.1:5000/hello user null");
  send("DELETE", "/images/a/b:c?force=1");
  EXPECT_EQ(fake.last_call(), "image_remove a/b:c true false");
  get("/distribution/library/busybox/json");
  EXPECT_EQ(fake.last_call(), "distribution_inspect library/busybox");
  EXPECT_EQ(status(get("/images/search?term=x")), "501");
}

TEST_F(RoutesTest, Images_UntaggedByVersion) {
  fake.answer = json::Array{json::Object{{"RepoTags", json::Array()}, {"RepoDigests", json::Array()}, {"Size", 1}}};
  EXPECT_THAT(get("/v1.42/images/json"), HasSubstr(R"("RepoTags":["<none>:<none>"],"RepoDigests":["<none>@<none>"])"));
  EXPECT_THAT(get("/v1.43/images/json"), HasSubstr(R"("RepoTags":[],"RepoDigests":[])"));
  get("/v1.40/images/json?filter=busybox");
  EXPECT_EQ(fake.last_call(), "image_list all=false {reference=busybox;} shared=false");
}

TEST_F(RoutesTest, Commit_TakesQueryAndConfig) {
  EXPECT_EQ(body(post("/commit?container=web&repo=r&tag=t&comment=c", R"({"Cmd":["x"]})")),
            "{\"Id\":\"sha256:5678\"}\n");
  EXPECT_EQ(fake.last_call(), "commit web r t c pause=true config=true");
  post("/commit?container=web&pause=0");
  EXPECT_EQ(fake.last_call(), "commit web    pause=false config=false");
}

TEST_F(RoutesTest, NetworksAndVolumes) {
  fake.answer = json::Object{{"Id", "n1"}};
  EXPECT_EQ(status(post("/networks/create", R"({"Name":"a","Driver":"bridge"})")), "201");
  EXPECT_EQ(fake.last_call(), "network_create a bridge");
  EXPECT_EQ(status(post("/networks/create", R"({"Driver":"bridge"})")), "400");
  EXPECT_EQ(status(post("/networks/a/connect",
                        R"({"Container":"web","EndpointConfig":{"IPAMConfig":{"IPv4Address":"10.0.0.2"}}})")),
            "200");
  EXPECT_EQ(fake.last_call(), "network_connect a web 10.0.0.2");
  post("/networks/a/disconnect", R"({"Container":"web","Force":true})");
  EXPECT_EQ(fake.last_call(), "network_disconnect a web");
  EXPECT_EQ(status(send("DELETE", "/networks/a")), "204");
  EXPECT_EQ(status(post("/volumes/create", R"({"Name":"v"})")), "201");
  EXPECT_EQ(status(send("DELETE", "/volumes/v?force=1")), "204");
  EXPECT_EQ(fake.last_call(), "volume_remove v true");
  post("/v1.41/volumes/prune");
  EXPECT_EQ(fake.last_call(), "volume_prune {all=true;}");
  post("/v1.42/volumes/prune");
  EXPECT_EQ(fake.last_call(), "volume_prune {}");
}

TEST_F(RoutesTest, System_InfoEventsUsage) {
  fake.answer = json::Object{{"SecurityOptions", json::Array{"name=seccomp,profile=builtin", "name=userns"}}};
  EXPECT_THAT(get("/v1.24/info"), HasSubstr(R"("SecurityOptions":["seccomp","userns"])"));
  EXPECT_THAT(get("/info"), HasSubstr(R"("SecurityOptions":["name=seccomp,profile=builtin","name=userns"])"));
  give_stream("{\"Type\":\"container\"}\n");
  EXPECT_THAT(get(R"(/events?until=5&filters={"type":["container"]})"), HasSubstr("{\"Type\":\"container\"}\n"));
  EXPECT_EQ(fake.last_call(), "events  5 {type=container;}");
  fake.answer = json::Object();
  get("/system/df?type=image&type=volume");
  EXPECT_EQ(fake.last_call(), "disk_usage image,volume");
  EXPECT_THAT(get("/v1.41/system/df"), HasSubstr("BuilderSize"));
  fake.answer = json::Object{{"BuilderSize", 0}};
  EXPECT_THAT(get("/v1.42/system/df"), testing::Not(HasSubstr("BuilderSize")));
  EXPECT_EQ(status(get("/system/df?type=moon")), "400");
}

TEST_F(RoutesTest, WhatWeLack_SaysSo) {
  EXPECT_EQ(body(get("/plugins")), "[]\n");
  const std::string swarm = get("/v1.40/services");
  EXPECT_EQ(status(swarm), "503");
  EXPECT_THAT(swarm, HasSubstr("This node is not a swarm manager."));
  EXPECT_EQ(status(get("/nodes/x/y")), "503");
  EXPECT_EQ(status(post("/swarm/init", "{}")), "501");
  EXPECT_EQ(status(post("/build?t=x")), "501");
  EXPECT_EQ(status(post("/session")), "501");
  EXPECT_EQ(status(post("/build/prune")), "200");
}

TEST(DetachKeys, SequencesAndPartialMatches) {
  EXPECT_EQ(parse_detach_keys("ctrl-p,ctrl-q"), "\x10\x11");
  EXPECT_EQ(parse_detach_keys("a,ctrl-@"), std::string("a\0", 2));
  for (const char* bad : {"", "ctrl-", "ctrl-1", "ab", "a,,b", "ctrl-p;q"}) EXPECT_THROW(parse_detach_keys(bad), Error);
  DetachScanner scanner("\x10\x11");
  EXPECT_EQ(scanner.filter("x\x10"), "x");
  EXPECT_EQ(scanner.filter("\x10y"), "\x10\x10y");
  EXPECT_FALSE(scanner.detached());
  EXPECT_EQ(scanner.filter("z\x10\x11tail"), "z");
  EXPECT_TRUE(scanner.detached());
  DetachScanner none("");
  EXPECT_EQ(none.filter("\x10\x11"), "\x10\x11");
}

TEST(Base64, BothAlphabetsAndPadding) {
  for (const std::string text : {"", "a", "ab", "abc", "\xff\xfe\xfd?>"})
    EXPECT_EQ(decode_base64(encode_base64(text)), text);
  EXPECT_EQ(encode_base64("\xfb\xff"), "+/8=");
  EXPECT_EQ(decode_base64("-_8"), "\xfb\xff");
  EXPECT_EQ(decode_base64("a b"), std::nullopt);
}

}  // namespace
}  // namespace bryo::api

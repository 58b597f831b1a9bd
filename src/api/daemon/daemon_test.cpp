// Options, pidfile: what bryod understands before it does anything.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "api/daemon/option_values.hpp"
#include "api/daemon/options.hpp"
#include "api/daemon/pidfile.hpp"
#include "base/error.hpp"

namespace bryo::daemon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr FileReader kNoFile = [](const std::string&) -> std::optional<std::string> { return std::nullopt; };

DaemonOptions parse(const std::vector<std::string>& arguments) {
  return merge_options(parse_flags(arguments), kNoFile);
}

// The file's text; one at a time, since FileReader has no state.
std::string& file_text() {
  static std::string text;
  return text;
}

DaemonOptions with_file(const std::string& text, const std::vector<std::string>& arguments = {}) {
  file_text() = text;
  return merge_options(parse_flags(arguments),
                       [](const std::string&) -> std::optional<std::string> { return file_text(); });
}

template <typename Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.message();
  }
  return "no error";
}

TEST(Flags, GosSyntax) {
  const auto options = parse({"-H", "unix:///a", "-Htcp://:1", "--host=fd://", "-D", "--icc=false", "--mtu", "1400",
                              "--label", "a=b", "--label=c=d", "-l", "warn"});
  EXPECT_THAT(options.hosts, ElementsAre("unix:///a", "tcp://:1", "fd://"));
  EXPECT_TRUE(options.engine.debug);
  EXPECT_FALSE(options.engine.icc);
  EXPECT_EQ(options.engine.mtu, 1400);
  EXPECT_THAT(options.engine.labels, ElementsAre("a=b", "c=d"));
  EXPECT_EQ(options.log_level, "warn");
}

TEST(Flags, OfTheLabs) {
  const auto options =
      parse({"--insecure-registry", "127.0.0.1:5000", "--userns-remap=dockremap", "--image-store=isolated",
             "--registry-mirror=http://127.0.0.1:5001", "--userns=auto:size=1000", "--storage-driver", "overlay2",
             "--default-address-pool", "base=172.80.0.0/16,size=24", "--default-ulimit", "nofile=10:20", "--log-opt",
             "max-size=10m", "--default-shm-size=128M", "--live-restore=false", "--data-root", "/d", "--exec-root=/e"});
  EXPECT_THAT(options.engine.insecure_registries, ElementsAre("127.0.0.1:5000"));
  EXPECT_EQ(options.engine.userns_remap, "dockremap");
  EXPECT_EQ(options.engine.userns_default, "auto:size=1000");
  EXPECT_TRUE(options.engine.isolated_images);
  EXPECT_EQ(options.engine.default_address_pools.at(0).base, "172.80.0.0/16");
  EXPECT_EQ(options.engine.default_ulimits.at(0).hard, 20);
  EXPECT_EQ(options.engine.default_log.config.at("max-size"), "10m");
  EXPECT_EQ(options.engine.default_shm_size, 128LL << 20);
  EXPECT_FALSE(options.engine.live_restore);
  EXPECT_EQ(options.engine.data_root, "/d");
  EXPECT_EQ(options.engine.exec_root, "/e");
}

TEST(Flags, MistakesAreNamed) {
  EXPECT_THAT(error_of([] { parse({"--no-such-flag"}); }), HasSubstr("unknown flag: --no-such-flag"));
  EXPECT_THAT(error_of([] { parse({"-z"}); }), HasSubstr("unknown shorthand flag"));
  EXPECT_THAT(error_of([] { parse({"--mtu"}); }), HasSubstr("flag needs an argument: --mtu"));
  EXPECT_THAT(error_of([] { parse({"--mtu", "big"}); }), HasSubstr("option --mtu"));
  EXPECT_THAT(error_of([] { parse({"serve"}); }), HasSubstr("accepts no arguments"));
  EXPECT_THAT(error_of([] { parse({"--label", "x"}); }), HasSubstr("key=value"));
  EXPECT_THAT(error_of([] { parse({"--dns", "here"}); }), HasSubstr("is not an ip address"));
  EXPECT_THAT(error_of([] { parse({"--log-level", "loud"}); }), HasSubstr("loud"));
  EXPECT_THAT(error_of([] { parse({"--selinux-enabled"}); }), HasSubstr("not supported"));
  EXPECT_THAT(error_of([] { parse({"--authorization-plugin=x"}); }), HasSubstr("not supported"));
  EXPECT_THAT(error_of([] { parse({"--exec-opt", "native.cgroupdriver=none"}); }), HasSubstr("cgroup driver"));
}

TEST(Flags, ForeignOnesAreAcceptedAloud) {
  EXPECT_THAT(parse({"--containerd=/x"}).warnings, ElementsAre(HasSubstr("containerd")));
  EXPECT_TRUE(parse({"--userland-proxy=false"}).warnings.empty());
  EXPECT_THAT(with_file(R"({"features":{"buildkit":true}})").warnings, ElementsAre(HasSubstr("features")));
}

TEST(File, DockersKeys) {
  const auto options = with_file(R"({
    "hosts": ["unix:///x"], "debug": true, "insecure-registries": ["a:1","b:2"], "registry-mirrors": ["http://m"],
    "userns-remap": "default", "default-address-pools": [{"base":"10.1.0.0/16","size":24}], "log-driver": "json-file",
    "log-opts": {"max-size":"1m"}, "default-ulimits": {"nofile":{"Name":"nofile","Hard":200,"Soft":100}},
    "default-shm-size": "32M", "mtu": 1300, "dns": ["1.1.1.1"], "labels": ["a=b"], "icc": false, "storage-opts": [],
    "exec-opts": ["native.cgroupdriver=cgroupfs"], "max-concurrent-downloads": 7, "tlsverify": true,
    "proxies": {"https-proxy":"http://p:3128","no-proxy":"localhost"}})");
  EXPECT_THAT(options.hosts, ElementsAre("unix:///x"));
  EXPECT_TRUE(options.engine.debug);
  EXPECT_THAT(options.engine.insecure_registries, ElementsAre("a:1", "b:2"));
  EXPECT_EQ(options.engine.default_address_pools.at(0).size, 24);
  EXPECT_EQ(options.engine.default_ulimits.at(0).soft, 100);
  EXPECT_EQ(options.engine.default_shm_size, 32LL << 20);
  EXPECT_EQ(options.engine.mtu, 1300);
  EXPECT_FALSE(options.engine.icc);
  EXPECT_EQ(options.engine.max_concurrent_downloads, 7);
  EXPECT_TRUE(options.tls) << "tlsverify includes tls";
  EXPECT_EQ(options.https_proxy, "http://p:3128");
}

TEST(File, MistakesNameFileAndDirective) {
  EXPECT_THAT(error_of([] { with_file(R"({"no-such-key": 1, "nor-this": 2})"); }),
              HasSubstr("the following directives don't match any configuration option: no-such-key, nor-this"));
  EXPECT_THAT(error_of([] { with_file(R"({"debug": 1})"); }), HasSubstr("\"debug\": expected true or false"));
  EXPECT_THAT(error_of([] { with_file(R"({"hosts": "x"})"); }), HasSubstr("expected an array"));
  EXPECT_THAT(error_of([] { with_file("{"); }),
              HasSubstr("unable to configure the daemon with file /etc/bryo/daemon.json: invalid JSON"));
  EXPECT_THAT(error_of([] { with_file("[]"); }), HasSubstr("expected a JSON object"));
  EXPECT_THAT(error_of([] { with_file(R"({"mtu": -1})"); }), HasSubstr("option mtu"));
  EXPECT_THAT(error_of([] { parse({"--config-file=/nowhere"}); }), HasSubstr("/nowhere"));
  EXPECT_EQ(error_of([] { with_file(" \n"); }), "no error");
}

TEST(File, ConflictWithAFlagIsRefused) {
  EXPECT_THAT(error_of([] {
                with_file(R"({"debug":true,"hosts":["unix:///a"]})", {"-D", "-H", "fd://"});
              }),
              testing::AllOf(HasSubstr("specified both as a flag and in the configuration file"),
                             HasSubstr("debug: (from flag: true, from file: true)"),
                             HasSubstr("hosts: (from flag: fd://, from file: [\"unix:///a\"])")));
}

TEST(Environment, OptsAreReadOnceEvenIfTheUnitExpandsThem) {
  ::setenv("BRYO_OPTS", "--label 'a=b c' --default-address-pool=base=10.0.0.0/8,size=24 --config-file=/dev/null", 1);
  const auto options = load_options({"--label", "a=b c", "--default-address-pool=base=10.0.0.0/8,size=24", "-D"});
  ::unsetenv("BRYO_OPTS");
  EXPECT_THAT(options.engine.labels, ElementsAre("a=b c"));
  EXPECT_EQ(options.engine.default_address_pools.size(), 1U);
  EXPECT_TRUE(options.engine.debug);
  EXPECT_THAT(split_words(R"(a  "b c" d\ e 'f"g' "" )"), ElementsAre("a", "b c", "d e", "f\"g", ""));
  EXPECT_THROW(split_words("'open"), Error);
}

TEST(Values, SizesBoolsUlimitsPools) {
  EXPECT_EQ(parse_size("64M"), 64LL << 20);
  EXPECT_EQ(parse_size("1.5g"), 3LL << 29);
  EXPECT_EQ(parse_size("100kb"), 102400);
  EXPECT_EQ(parse_size("2GiB"), 2LL << 30);
  EXPECT_EQ(parse_size("4096"), 4096);
  for (const char* bad : {"", "M", "-1", "1x", "1.2.3", "9999999999P"}) EXPECT_THROW(parse_size(bad), Error) << bad;
  EXPECT_TRUE(parse_bool("T"));
  EXPECT_THROW(parse_bool("yes"), Error);
  EXPECT_EQ(parse_ulimit("nofile=5").hard, 5);
  EXPECT_THROW(parse_ulimit("nofile=6:5"), Error);
  EXPECT_THROW(parse_ulimit("nofile"), Error);
  for (const char* bad : {"", "base=10.0.0.0/8,size=4", "base=x,size=24", "base=10.0.0.0/8,color=red"})
    EXPECT_THROW(parse_pool(bad), Error) << bad;
}

TEST(Help, ShowsEveryFlag) {
  const std::string help = help_text();
  for (const Option& option : option_table())
    EXPECT_THAT(help, HasSubstr(option.flag.empty() ? "" : "--" + std::string(option.flag)));
}

struct PidfileTest : testing::Test {
  std::string directory = [] {
    char name[] = "/tmp/bryo-pidfile-XXXXXX";
    return std::string(::mkdtemp(name));
  }();
  std::string path = directory + "/run/bryo.pid";
  ~PidfileTest() override { std::filesystem::remove_all(directory); }
  std::string text() {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

TEST_F(PidfileTest, NamesUsAndGoesWithUs) {
  {
    const Pidfile pidfile(path);
    EXPECT_EQ(text(), std::to_string(::getpid()) + "\n");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(PidfileTest, StaleOrForeignPidIsReplaced) {
  std::filesystem::create_directory(directory + "/run");
  std::ofstream(path) << "1\n";  // runs, but is no bryod
  const Pidfile pidfile(path);
  EXPECT_EQ(text(), std::to_string(::getpid()) + "\n");
}

TEST_F(PidfileTest, RunningDaemonIsAConflict) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  std::filesystem::create_directory(directory + "/run");
  const pid_t child = ::fork();  // the same program, so the same comm
  if (child == 0) {
    char byte;
    ::close(ready[1]);
    ::_exit(::read(ready[0], &byte, 1) == 0 ? 0 : 1);
  }
  std::ofstream(path) << child << "\n";
  EXPECT_THAT(error_of([&] { const Pidfile pidfile(path); }), HasSubstr("is still running"));
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace bryo::daemon

// Pure parts of the engine: what requests mean.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "base/error.hpp"
#include "engine/container.hpp"
#include "engine/create.hpp"
#include "engine/endpoint_request.hpp"
#include "engine/image_uses.hpp"
#include "engine/mount_list.hpp"
#include "engine/names.hpp"
#include "engine/ports.hpp"
#include "engine/resources.hpp"
#include "engine/spec.hpp"
#include "engine/user_lookup.hpp"
#include "engine/views.hpp"

namespace bryo::engine {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

template <typename Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.message();
  }
  return "no error";
}

constexpr std::string_view kPasswd =
    "root:x:0:0:root:/root:/bin/sh\nbozo:x:5000:5001::/home/bozo:/bin/sh\n1000:x:0:0::/:/bin/sh\nbad "
    "line\nevil:x:12:13::/a\rb:/\n";
constexpr std::string_view kGroup = "root:x:0:\nwheel:x:10:root,bozo\nstaff:x:50:bozo\n";

TEST(User, IsFoundWithItsGroupsAndItsPrimaryGroupIsOneOfThem_CVE_2022_36109) {
  const auto user = resolve_user_in("bozo", {}, kPasswd, kGroup);
  EXPECT_EQ(user.uid, 5000U);
  EXPECT_EQ(user.gid, 5001U);
  EXPECT_THAT(user.groups, ElementsAre(5001, 10, 50));
  EXPECT_EQ(user.home, "/home/bozo");
}

TEST(User, EmptyIsRootWithRootsGroups) {
  EXPECT_THAT(resolve_user_in("", {}, kPasswd, kGroup).groups, ElementsAre(0, 10));
  EXPECT_EQ(resolve_user_in("", {}, "", "").home, "/root");
}

TEST(User, CVE_2016_3697_ANumberIsNeverAName) {
  const auto user = resolve_user_in("1000", {}, kPasswd, kGroup);
  EXPECT_EQ(user.uid, 1000U);
  EXPECT_EQ(user.gid, 0U);
}

TEST(User, CVE_2024_40635_NumbersThatDoNotFitAreErrorsNotNames) {
  for (const char* text : {"4294967295", "4294967296", "99999999999", "-1", "0x0", " 0", "+0", "1:4294967296"})
    EXPECT_THROW(resolve_user_in(text, {}, "4294967296:x:0:0::/:/\n99999999999:x:0:0::/:/\n", ""), Error) << text;
  EXPECT_EQ(resolve_user_in("2147483648", {}, "", "").uid, 2147483648U);
}

TEST(User, UnknownNamesSayWhatIsMissing) {
  EXPECT_EQ(message_of([] { resolve_user_in("nobody", {}, kPasswd, kGroup); }),
            "unable to find user nobody: no matching entries in passwd file");
  EXPECT_THAT(message_of([] { resolve_user_in("bozo:nogroup", {}, kPasswd, kGroup); }),
              HasSubstr("unable to find group nogroup"));
}

TEST(User, CVE_2022_4318_AHomeWithALineBreakIsNotUsed) {
  EXPECT_EQ(resolve_user_in("evil", {}, kPasswd, kGroup).home, "/");
}

TEST(User, GroupAddIsLookedUpAndAdded) {
  EXPECT_THAT(resolve_user_in("bozo", {"staff", "77"}, kPasswd, kGroup).groups, ElementsAre(5001, 10, 50, 77));
}

TEST(Binds, AreReadAsDockerDoes) {
  const auto bind = parse_bind("/srv//data/:/data:ro,rslave", "");
  EXPECT_EQ(bind.point.type, "bind");
  EXPECT_EQ(bind.point.source, "/srv/data");
  EXPECT_EQ(bind.point.destination, "/data");
  EXPECT_EQ(bind.point.propagation, "rslave");
  EXPECT_FALSE(bind.point.rw);
  const auto volume = parse_bind("db:/var/lib/db:nocopy", "");
  EXPECT_EQ(volume.point.type, "volume");
  EXPECT_EQ(volume.point.name, "db");
  EXPECT_FALSE(volume.copy_up);
  EXPECT_TRUE(volume.idmap);
}

TEST(Binds, MalformedOnesAreRefused) {
  for (const char* text : {"", ":", "/a", "/a:", ":/b", "/a:b", "/a:/", "/a:/b/..", "/a:/b:rw:x", "/a:/b:banana"})
    EXPECT_THROW(parse_bind(text, ""), Error) << text;
}

TEST(Mounts, ReadOnlyBindsAreSoToTheGround) {
  MountSpec spec{.type = "bind", .source = "/a", .target = "/b", .read_only = true};
  EXPECT_FALSE(from_mount_spec(spec).flat_read_only);
  spec.bind_options = BindOptions{.read_only_non_recursive = true};
  EXPECT_TRUE(from_mount_spec(spec).flat_read_only);
  spec.bind_options->read_only_force_recursive = true;
  EXPECT_THROW(from_mount_spec(spec), Error);
  spec.bind_options->read_only_non_recursive = false;
  EXPECT_FALSE(from_mount_spec(spec).flat_read_only);
  spec.bind_options->propagation = "rslave";  // the host may still mount below it
  EXPECT_THROW(from_mount_spec(spec), Error);
  spec.bind_options->propagation = "rprivate";
  spec.read_only = false;
  EXPECT_THROW(from_mount_spec(spec), Error);
}

TEST(Mounts, TmpfsOptionsAreNamesAndValues) {
  MountSpec spec{.type = "tmpfs", .target = "/t"};
  spec.tmpfs_options = TmpfsOptions{4096, 0700, {{"exec"}, {"nr_inodes", "4k"}}};
  EXPECT_EQ(from_mount_spec(spec).tmpfs_options, "size=4096,mode=700,exec,nr_inodes=4k");
  for (const std::vector<std::string>& bad : {std::vector<std::string>{}, {""}, {"a", "b", "c"}, {"a,b"}}) {
    spec.tmpfs_options->options = {bad};
    EXPECT_THROW(from_mount_spec(spec), Error);
  }
}

TEST(Endpoints, SettingsOfTheInterfaceAreBelowNet) {
  const auto ask = [](std::string text) {
    EndpointSettings settings;
    settings.driver_opts = Labels{{std::string(kEndpointSysctls), std::move(text)}};
    Record record;
    check_endpoint(settings);
    return endpoint_request(record, "a", settings).settings;
  };
  const auto two = ask("net.ipv4.conf.IFNAME.log_martians=1, net.ipv6.conf.IFNAME.accept_ra=2");
  ASSERT_EQ(two.size(), 2U);
  EXPECT_EQ(two[0].place, "ipv4/conf");
  EXPECT_EQ(two[0].name, "log_martians");
  EXPECT_EQ(two[1].value, "2");
  for (const char* bad :
       {"net.ipv4.conf.eth0.log_martians=1", "net.ipv4.conf.IFNAME.log_martians", "kernel.x.y.IFNAME.z=1",
        "net.ipv4.conf.IFNAME.a/b=1", "net.ipv4..IFNAME.a=1", "net.ipv4.conf.IFNAME...=1"})
    EXPECT_THROW(ask(bad), Error) << bad;
}

TEST(Endpoints, TheContainersMacAddressIsItsMainNetworks) {
  Record record;
  record.config.mac_address = "02:42:ac:11:00:07";
  record.host_config.network_mode = "a";
  EXPECT_EQ(endpoint_request(record, "a", {}).mac, record.config.mac_address);
  EXPECT_EQ(endpoint_request(record, "b", {}).mac, "");
  EndpointSettings own;
  own.mac_address = "02:42:ac:11:00:09";
  EXPECT_EQ(endpoint_request(record, "a", own).mac, own.mac_address);
  own.mac_address = "nonsense";
  EXPECT_THROW(check_endpoint(own), Error);
}

TEST(Mounts, TheSameDestinationTwiceIsAnErrorAndImagesComeLast) {
  HostConfig host;
  host.binds = {{"/a:/data", "v:/data/"}};
  EXPECT_EQ(message_of([&] { merge_mounts(host, std::nullopt, {}); }), "Duplicate mount point: /data");
  host.binds = {{"/a:/data"}};
  const auto merged = merge_mounts(host, StringSet{{"/data", {}}, {"/other", {}}}, {});
  ASSERT_EQ(merged.size(), 2U);
  EXPECT_EQ(merged[0].point.type, "bind");
  EXPECT_EQ(merged[1].point.destination, "/other");
  EXPECT_TRUE(merged[1].anonymous);
}

TEST(Ports, AreCheckedAndShownInBothFamilies) {
  Record record;
  record.host_config.port_bindings = {{"80", {{"", "8080"}}}, {"53/udp", {{"127.0.0.1", ""}}}};
  record.config.exposed_ports["443/tcp"];
  parse_port_map(record);
  EXPECT_TRUE(record.config.exposed_ports.contains("80/tcp"));
  const auto wanted = ports_to_publish(record, "");
  ASSERT_EQ(wanted.size(), 2U);
  const auto view = port_view(record, {{"tcp", 80, "0.0.0.0", 8080, "172.17.0.2", true}});
  EXPECT_EQ(view.at("80/tcp")->front().host_port, "8080");
  EXPECT_FALSE(view.at("443/tcp").has_value());
}

TEST(Ports, HostileOnesAreRefused) {
  for (const char* text : {"", "0", "65536", "-1", "80/icmp", "80/sctp", "x", "80/tcp/udp"})
    EXPECT_THROW(parse_port(text), Error) << text;
}

TEST(Signals, HaveNamesAndNumbers) {
  EXPECT_EQ(parse_signal("SIGTERM"), SIGTERM);
  EXPECT_EQ(parse_signal("kill"), SIGKILL);
  EXPECT_EQ(parse_signal("9"), 9);
  EXPECT_EQ(parse_signal("RTMIN+3"), 37);
  for (const char* text : {"", "0", "65", "-9", "SIGBANANA", "RTMIN+99"})
    EXPECT_THROW(parse_signal(text), Error) << text;
}

TEST(Resources, CVE_2018_20699_GiantCpuSetsAreRefused) {
  const auto layout = kernel::CgroupLayout::parse("");
  std::vector<std::string> warnings;
  for (const char* list : {"0-2147483647", "4294967296", "1-0", "a", "0,,1"}) {
    Resources resources;
    resources.cpuset_cpus = list;
    EXPECT_THROW(check_resources(resources, {layout}, warnings), Error) << list;
  }
}

TEST(Resources, ALimitWithoutItsControllerIsAnErrorThatNamesIt) {
  const auto layout = kernel::CgroupLayout::parse("");
  LimitRules rules{layout};
  rules.remedy = [](std::string_view controller) { return "ask for " + std::string(controller); };
  std::vector<std::string> warnings;
  Resources resources;
  resources.memory = 64 << 20;
  EXPECT_THAT(message_of([&] { check_resources(resources, rules, warnings); }),
              HasSubstr("--memory needs the cgroup controller \"memory\": ask for memory"));
  EXPECT_EQ(resources.memory, 64 << 20);
  resources = {};
  resources.blkio_device_read_bps = {{"/dev/null", 1}};
  EXPECT_THAT(message_of([&] { check_resources(resources, rules, warnings); }), HasSubstr("--device-read-bps needs"));
  resources = {};
  resources.device_cgroup_rules = {"c 1:3 r"};
  check_resources(resources, rules, warnings);
  rules.device_rules = false;
  EXPECT_THAT(message_of([&] { check_resources(resources, rules, warnings); }), HasSubstr("--device-cgroup-rule"));
  EXPECT_TRUE(warnings.empty());
}

TEST(Resources, UlimitsAboveWhatTheEngineMayGiveAreAWarning) {
  const auto layout = kernel::CgroupLayout::parse("");
  std::vector<std::string> warnings;
  Resources resources;
  resources.ulimits = {{.name = "nofile", .soft = 10, .hard = 20}, {.name = "core", .soft = 0, .hard = 0}};
  check_resources(resources, {layout}, warnings);
  EXPECT_TRUE(warnings.empty());
  resources.ulimits = {{.name = "nofile", .soft = -1, .hard = -1}};  // nobody can have that: fs.nr_open
  check_resources(resources, {layout}, warnings);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("--ulimit nofile: the hard limit unlimited is above")));
  EXPECT_EQ(resources.ulimits->front().hard, -1) << "kept as asked for: the next engine may be given more";
  resources.ulimits = {{.name = "bogus", .soft = 1, .hard = 1}};
  EXPECT_THAT(message_of([&] { check_resources(resources, {layout}, warnings); }), HasSubstr("ulimit type: bogus"));
}

TEST(Resources, RealTimeAndWeightsOfDevicesReachTheCgroup) {
  const auto v1 = kernel::CgroupLayout::parse(
      "31 23 0:28 / /cg/cpu rw - cgroup cgroup rw,cpu\n32 23 0:29 / /cg/blkio rw - cgroup cgroup rw,blkio\n");
  std::vector<std::string> warnings;
  Resources resources;
  resources.cpu_realtime_period = 1'000'000;
  resources.cpu_realtime_runtime = 950'000;
  resources.blkio_weight_device = {{.path = "/dev/null", .weight = 200}};
  EXPECT_THAT(message_of([&] { check_resources(resources, {v1}, warnings); }), HasSubstr("/dev/null"))
      << "no block device";
  resources.blkio_weight_device->front().weight = 9;
  EXPECT_THAT(message_of([&] { check_resources(resources, {v1}, warnings); }), HasSubstr("from 10 to 1000"));
  resources.blkio_weight_device.reset();
  EXPECT_EQ(cgroup_limits(resources).cpu_rt_period, 1'000'000U);
  EXPECT_EQ(cgroup_limits(resources).cpu_rt_runtime, 950'000);
  const auto v2 = kernel::CgroupLayout::from_parts({}, "/sys/fs/cgroup");
  EXPECT_THAT(message_of([&] { check_resources(resources, {v2}, warnings); }), HasSubstr("no real-time limits"));
  resources.cpu_realtime_runtime = 1'000'001;
  EXPECT_THAT(message_of([&] { check_resources(resources, {v1}, warnings); }), HasSubstr("cannot be higher"));
}

TEST(Resources, LimitsThatCannotBeKeptAreLeftOutAloudWhenThatIsAskedFor) {
  const auto layout = kernel::CgroupLayout::parse("31 23 0:28 / /cg/pids rw - cgroup cgroup rw,pids\n");
  LimitRules rules{layout};
  rules.strict = false;
  rules.device_rules = false;
  Resources resources;
  resources.memory = 64 << 20;
  resources.memory_swap = -1;
  resources.nano_cpus = 500'000'000;
  resources.pids_limit = 7;
  resources.cpuset_cpus = "0";
  resources.device_cgroup_rules = {"c 1:3 r"};
  std::vector<std::string> warnings;
  check_resources(resources, rules, warnings);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("--memory "), HasSubstr("--cpus "), HasSubstr("--cpuset-cpus "),
                                    HasSubstr("--device-cgroup-rule")));
  EXPECT_EQ(resources.pids_limit, 7) << "this one is there";
  const auto limits = cgroup_limits(resources);
  EXPECT_FALSE(limits.memory || limits.memory_swap || limits.cpu_quota || !limits.cpuset_cpus.empty());
  EXPECT_FALSE(resources.device_cgroup_rules.has_value());
}

TEST(Resources, CpusBecomeAQuota) {
  Resources resources;
  resources.nano_cpus = 1'500'000'000;
  EXPECT_EQ(cgroup_limits(resources).cpu_quota, 150'000);
  EXPECT_EQ(cgroup_limits(resources).cpu_period, 100'000U);
}

TEST(Devices, EverythingIsDeniedFirst_GHSA_g54h_m393_cpwq) {
  const auto rules = cgroup_devices({});
  ASSERT_FALSE(rules.empty());
  EXPECT_FALSE(rules.front().allow);
  EXPECT_EQ(rules.front().type, 'a');
  for (const auto& rule : rules) EXPECT_FALSE(rule.allow && rule.type == 'b' && rule.access != "m");
}

TEST(Capabilities, AddAndDropAsDocker) {
  HostConfig host;
  host.cap_add.items = {"net_admin", "CAP_SYS_TIME"};
  host.cap_drop.items = {"CHOWN"};
  const auto held = effective_capabilities(host);
  EXPECT_THAT(held, Contains("CAP_NET_ADMIN"));
  EXPECT_THAT(held, Not(Contains("CAP_CHOWN")));
  EXPECT_THAT(held, Not(Contains("CAP_DAC_READ_SEARCH")));  // "Shocker"
  host.cap_drop.items = {"ALL"};
  EXPECT_THAT(effective_capabilities(host), ElementsAre("CAP_NET_ADMIN", "CAP_SYS_TIME"));
  host.cap_add.items = {"BANANA"};
  EXPECT_THROW(effective_capabilities(host), Error);
}

TEST(ImageConfig, ContainerWinsAndAnEntrypointDropsTheImagesCommand) {
  oci::RunConfig image;
  image.env = {{"A=1", "B=2"}};
  image.cmd = {{"serve"}};
  image.entrypoint = {{"/entry"}};
  image.working_dir = "/srv";
  ContainerConfig plain;
  plain.env = {{"B=3"}};
  merge_image_config(plain, image);
  EXPECT_THAT(*plain.env, ElementsAre("A=1", "B=3"));
  EXPECT_THAT(plain.cmd.list(), ElementsAre("serve"));
  ContainerConfig own;
  own.entrypoint.items = {"/other"};
  merge_image_config(own, image);
  EXPECT_TRUE(own.cmd.empty());
}

TEST(Change, InstructionsAreLaidOverTheConfig) {
  oci::RunConfig config;
  apply_change(config, "ENV A=1 B='two words'");
  apply_change(config, "CMD [\"a\",\"b\"]");
  apply_change(config, "EXPOSE 80 53/udp");
  apply_change(config, "LABEL k v w");
  EXPECT_THAT(*config.env, ElementsAre("A=1", "B=two words"));
  EXPECT_THAT(*config.cmd, ElementsAre("a", "b"));
  EXPECT_TRUE(config.exposed_ports.contains("80/tcp"));
  EXPECT_EQ(config.labels->at("k"), "v w");
  for (const char* text : {"", "RUN x", "CMD", "ENV A", "CMD [\"a\""})
    EXPECT_THROW(apply_change(config, text), Error) << text;
}

TEST(Names, InventedOnesAreValid) {
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(is_valid_name(random_name(i % 2 == 0)));
  for (const char* name : {"", "a", "-rf", ".x", "a/b", "a b", "ä1", "a\nb"}) EXPECT_FALSE(is_valid_name(name)) << name;
}

TEST(Durations, ReadAsDockersDo) {
  using std::chrono::seconds;
  EXPECT_EQ(human_duration(seconds(0)), "Less than a second");
  EXPECT_EQ(human_duration(seconds(4)), "4 seconds");
  EXPECT_EQ(human_duration(seconds(75)), "About a minute");
  EXPECT_EQ(human_duration(seconds(3600)), "About an hour");
  EXPECT_EQ(human_duration(seconds(3600 * 24 * 12)), "12 days");
}

TEST(State, OnlyTheDrawnTransitionsExist) {
  EXPECT_TRUE(may_change(Status::created, Status::running));
  EXPECT_TRUE(may_change(Status::exited, Status::restarting));
  EXPECT_FALSE(may_change(Status::running, Status::removing));
  EXPECT_FALSE(may_change(Status::removing, Status::running));
  EXPECT_FALSE(may_change(Status::created, Status::paused));
}

}  // namespace
}  // namespace bryo::engine

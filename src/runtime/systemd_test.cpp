// The systemd cgroup driver: what we would tell systemd, and the conversation itself with sd-bus playing the manager.
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "kernel/systemd_manager.hpp"
#include "runtime/command/gvariant_text.hpp"
#include "runtime/command/systemd_properties.hpp"
#include "runtime/test_support.hpp"

namespace bryo::kernel {

void PrintTo(const UnitProperty& property, std::ostream* out) { *out << property.name; }

}  // namespace bryo::kernel

namespace bryo::runtime::command {
namespace {

using namespace kernel;  // NOLINT(google-build-using-namespace): the messages and the manager under test

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Property;

constexpr auto kV1 = kernel::CgroupVersion::v1;
constexpr auto kV2 = kernel::CgroupVersion::v2;

UnitProperty number(const char* name, std::uint64_t value) { return {name, value}; }

TEST(SystemdPlace, PathFollowsFromSliceAndName) {
  const SystemdPlace place = systemd_place("machine-pods.slice:libpod:abc", "id", "system.slice");
  EXPECT_EQ(place.slice, "machine-pods.slice");
  EXPECT_EQ(place.unit, "libpod-abc.scope");
  EXPECT_EQ(place.path, "/machine.slice/machine-pods.slice/libpod-abc.scope");
  EXPECT_EQ(systemd_place("", "id", "system.slice").path, "/system.slice/bryo-id.scope");
  EXPECT_EQ(systemd_place(":docker:x", "id", "user.slice").path, "/user.slice/docker-x.scope");
  EXPECT_EQ(systemd_place("-.slice::x", "id", "system.slice").path, "/x.scope");
}

TEST(SystemdPlace, OtherFormsAreRefused) {
  for (const char* bad : {"/plain/path", "a.slice:b", "a.slice:b:", "nodots:b:c", "a/b.slice:b:c", "a--b.slice:b:c",
                          ".slice:b:c", "a.slice:b:c d", "a.slice:b:c\n", "a.slice:../b:c", "a.slice:b:c.slice"})
    EXPECT_THROW(systemd_place(bad, "id", "system.slice"), Error) << bad;
}

TEST(SystemdProperties, LimitsOfV2) {
  oci::LinuxResources resources;
  resources.memory.emplace();
  resources.memory->limit = 100;
  resources.memory->swap = 150;
  resources.memory->reservation = 50;
  resources.cpu.emplace();
  resources.cpu->shares = 1024;
  resources.cpu->quota = 12345;
  resources.cpu->period = 50000;
  resources.cpu->cpus = "0-1,9";
  resources.pids.emplace().limit = -1;
  resources.block_io.emplace().weight = 10;
  EXPECT_THAT(
      limit_properties(resources, kV2),
      ElementsAre(number("MemoryMax", 100), number("MemoryLow", 50), number("MemorySwapMax", 50),
                  number("CPUWeight", 100), number("CPUQuotaPerSecUSec", 250000), number("CPUQuotaPeriodUSec", 50000),
                  UnitProperty{"AllowedCPUs", std::vector<std::uint8_t>{3, 2}}, number("IOWeight", 1),
                  number("TasksMax", UINT64_MAX)));
}

TEST(SystemdProperties, LimitsOfV1AndNone) {
  oci::LinuxResources resources;
  resources.memory.emplace().limit = -1;
  resources.cpu.emplace().shares = 512;
  resources.cpu->quota = -1;
  resources.block_io.emplace().weight = 300;
  EXPECT_THAT(
      limit_properties(resources, kV1),
      ElementsAre(number("MemoryLimit", UINT64_MAX), number("CPUShares", 512), number("CPUQuotaPerSecUSec", UINT64_MAX),
                  number("CPUQuotaPeriodUSec", 100000), number("BlockIOWeight", 300)));
  // Zero is "not given".
  resources.memory->limit = 0;
  resources.cpu.reset();
  resources.block_io.reset();
  resources.pids.emplace().limit = 0;
  EXPECT_TRUE(limit_properties(resources, kV2).empty());
}

TEST(SystemdProperties, AScopeIsDelegatedAndHoldsTheProcess) {
  const SystemdPlace place = systemd_place("", "id", "system.slice");
  const auto list = scope_properties(place, "id", 77, {}, kV2);
  EXPECT_THAT(list, Contains(UnitProperty{"Delegate", true}));
  EXPECT_THAT(list, Contains(UnitProperty{"PIDs", std::vector<std::uint32_t>{77}}));
  EXPECT_THAT(list, Contains(UnitProperty{"Slice", std::string("system.slice")}));
  EXPECT_THAT(list, Contains(UnitProperty{"DefaultDependencies", false}));
}

std::vector<std::string> allowed(std::vector<kernel::CgroupDeviceRule> rules) {
  constexpr std::string_view kDevices = "Character devices:\n  1 mem\n136 pts\n\nBlock devices:\n  7 loop\n136 other\n";
  std::vector<std::string> out;
  for (const UnitProperty& property : device_properties(rules, kDevices)) {
    if (property.name == "DevicePolicy") out.push_back(std::get<std::string>(property.value));
    if (property.name != "DeviceAllow") continue;
    EXPECT_EQ(std::get<BusTree>(property.value).type, "a(ss)");
    for (const BusTree& entry : std::get<BusTree>(property.value).members)
      out.push_back(entry.members.at(0).text + " " + entry.members.at(1).text);
  }
  return out;
}

TEST(SystemdProperties, DevicesAreNamedOrLeftToTheCgroup) {
  const kernel::CgroupDeviceRule nothing;
  EXPECT_THAT(allowed({nothing,
                       {true, 'c', {}, {}, "m"},
                       {true, 'c', 1, 3, "r"},
                       {true, 'c', 1, 3, "rw"},
                       {true, 'c', 136, {}, "rwm"},
                       {true, 'b', 7, {}, "r"}}),
              ElementsAre("strict", "char-* m", "/dev/char/1:3 rw", "char-pts rwm", "block-loop r"));
  EXPECT_THAT(allowed({nothing,
                       {true, 'c', 1, 3, "rw"},
                       {false, 'c', 1, 3, "w"},
                       {true, 'b', 8, 0, "r"},
                       nothing,
                       {true, 'c', 1, 5, "r"},
                       {false, 'c', 1, 9, "rwm"}}),
              ElementsAre("strict", "/dev/char/1:5 r"));
  EXPECT_THAT(allowed({nothing, {true, 'c', 1, 3, "rw"}, {false, 'c', 1, 3, "w"}}),
              ElementsAre("strict", "/dev/char/1:3 r"));
  // Everything; an exception; a driver without a name; one minor of every driver.
  EXPECT_THAT(allowed({nothing, {true, 'a', {}, {}, "rwm"}}), ElementsAre());
  EXPECT_THAT(allowed({nothing, {true, 'c', {}, {}, "rwm"}, {false, 'c', 1, 1, "rwm"}}), ElementsAre());
  EXPECT_THAT(allowed({nothing, {true, 'c', 99, {}, "rwm"}}), ElementsAre());
  EXPECT_THAT(allowed({nothing, {true, 'c', {}, 3, "rwm"}}), ElementsAre());
}

TEST(SystemdProperties, AnnotationsNameProperties) {
  const auto list = annotation_properties({{"org.systemd.property.CollectMode", "'inactive'"},
                                           {"org.systemd.property.TimeoutStopUSec", "uint64 5"},
                                           {"org.systemd.property.RuntimeMaxSec", "1.5"},
                                           {"org.systemd.properties.X", "nonsense"},
                                           {"other", "nonsense"}});
  EXPECT_THAT(list, ElementsAre(UnitProperty{"CollectMode", BusTree{"s", 0, "inactive"}},
                                UnitProperty{"RuntimeMaxUSec", BusTree{"t", 1'500'000}},
                                UnitProperty{"TimeoutStopUSec", BusTree{"t", 5}}));
  for (const auto& [name, value] : std::map<std::string, std::string>{{"Ab", "1"},
                                                                      {"A.B.C", "1"},
                                                                      {"TasksMax", "17 17"},
                                                                      {"RuntimeMaxSec", "'5'"},
                                                                      {"TimeoutSec", "-1"},
                                                                      {"Timeout1", "1"}}) {
    try {
      annotation_properties({{"org.systemd.property." + name, value}});
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_THAT(error.message(), HasSubstr("annotations.org.systemd.property." + name));
    }
  }
}

// "type:value", "type:[member][member]".
std::string tree_text(const BusTree& tree) {
  std::string out = tree.type + ":";
  const bool text = tree.type == "s" || tree.type == "o" || tree.type == "g";
  if (tree.members.empty()) return out + (text ? tree.text : std::to_string(tree.bits));
  for (const BusTree& member : tree.members) out += "[" + tree_text(member) + "]";
  return out;
}

TEST(GVariantText, Values) {
  const std::map<std::string, std::string> cases = {
      {"5", "i:5"},
      {" -5 ", "i:18446744073709551611"},
      {"0x1f", "i:31"},
      {"017", "i:15"},
      {"byte 255", "y:255"},
      {"int16 -32768", "n:18446744073709518848"},
      {"uint64 18446744073709551615", "t:18446744073709551615"},
      {"@x 7", "x:7"},
      {"1.5", "d:4609434218613702656"},
      {"double 1", "d:4607182418800017408"},
      {"true", "b:1"},
      {"boolean false", "b:0"},
      {"'it''s'", ""},
      {"\"it's\"", "s:it's"},
      {R"('a\'b\n\u00e4\U0001f600\\')", "s:a'b\nä😀\\"},
      {"objectpath '/a/b'", "o:/a/b"},
      {"signature 'a{sv}'", "g:a{sv}"},
      {"['a', 'b',]", "as:[s:a][s:b]"},
      {"@as []", "as:0"},
      {"[1, 2.5]", "ad:[d:4607182418800017408][d:4612811918334230528]"},
      {"[1, byte 2]", "ay:[y:1][y:2]"},
      {"[[], ['x']]", "aas:[as:0][as:[s:x]]"},
      {"('a', true, uint32 3)", "(sbu):[s:a][b:1][u:3]"},
      {"(1,)", "(i):[i:1]"},
      {"@a(st) [('/dev/x', 5)]", "a(st):[(st):[s:/dev/x][t:5]]"},
      {"{'a': <1>, 'b': <'x'>}", "a{sv}:[{sv}:[s:a][v:[i:1]]][{sv}:[s:b][v:[s:x]]]"},
      {"@a{sv} {}", "a{sv}:0"},
      {"b'xy'", "ay:[y:120][y:121][y:0]"},
  };
  for (const auto& [text, meant] : cases) {
    if (meant.empty())
      EXPECT_THROW(parse_gvariant(text), Error) << text;
    else
      EXPECT_EQ(tree_text(parse_gvariant(text)), meant) << text;
  }
}

TEST(GVariantText, WhatMeansNothingIsRefused) {
  for (const char* bad : {"",
                          " ",
                          "nothing",
                          "just 5",
                          "[]",
                          "{}",
                          "()",
                          "5 5",
                          "byte 256",
                          "byte -1",
                          "int16 40000",
                          "uint64 18446744073709551616",
                          "2147483648",
                          "1.5.5",
                          "1e",
                          "--5",
                          "0x",
                          "'open",
                          "'\\",
                          "'\\u12'",
                          "'\\u0000'",
                          "[1, 'a']",
                          "@as [1]",
                          "@q",
                          "@",
                          "@( 1",
                          "@a{vs} {}",
                          "@(s) ('a', 'b')",
                          "@(ss) ('a',)",
                          "uint32 uint32 5",
                          "@u @u 5",
                          "string 5",
                          "uint32 'a'",
                          "<5",
                          "<>",
                          "{1 2}",
                          "[1 2]",
                          "{'a': 1, 2}",
                          "boolean 1",
                          "trueish",
                          "@mi 5",
                          "b'open"})
    EXPECT_THROW(parse_gvariant(bad), Error) << bad;
  EXPECT_THROW(parse_gvariant(std::string(100'000, '[')), Error);
  EXPECT_THROW(parse_gvariant("@" + std::string(100'000, 'a') + "s []"), Error);
  EXPECT_THROW(parse_gvariant("@" + std::string(100'000, '(') + "s []"), Error);
}

TEST(BusMessage, RefusesWhatIsCutShortOrNoMessage) {
  BusWriter body;
  body.string("text");
  const auto call = encode_call({"a.b", "/a", "a.b", "M", "s", body.bytes()}, 7);
  ASSERT_EQ(bus_message_size(std::span(call).first(kBusFixedHeader)), call.size());
  EXPECT_EQ(decode_message(call).member, "M");
  for (std::size_t size = 0; size < call.size(); ++size)
    EXPECT_THROW(decode_message(std::span(call).first(size)), Error) << size;
  for (std::size_t at = 0; at < call.size(); ++at) {
    auto changed = call;
    for (const int bit : {0, 4, 7}) {
      changed[at] ^= static_cast<std::byte>(1 << bit);
      try {
        decode_message(changed);
      } catch (const Error&) {
        // Either is fine; reading outside is what the sanitizer would tell.
        continue;
      }
    }
  }
}

// --- sd-bus as the manager ---

class Manager {
 public:
  explicit Manager(std::string socket) : path_(std::move(socket)) {
    listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    struct sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::bind(listener_.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_.get(), 4) != 0)
      fail_errno("listen");
    thread_ = std::thread([this] { serve(); });
  }
  ~Manager() {
    stop_ = true;
    thread_.join();
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  const std::string& path() const { return path_; }
  // What was called, in order; read it when the client has its answers.
  std::vector<std::string> calls;
  std::string job_result = "done";
  int exists_answers = 0;
  bool no_such_unit = false;
  bool prints_trees = false;

 private:
  void serve() {
    struct pollfd waited = {listener_.get(), POLLIN, 0};
    while (!stop_ && ::poll(&waited, 1, 10) == 0) {
    }
    if (stop_) return;
    sd_bus* bus = nullptr;
    sd_bus_new(&bus);
    const int connection = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    sd_bus_set_fd(bus, connection, connection);
    sd_bus_set_server(bus, 1, sd_id128_t{});
    sd_bus_set_trusted(bus, 1);
    sd_bus_add_filter(bus, nullptr, &Manager::on_message, this);
    sd_event* loop = nullptr;
    sd_event_new(&loop);
    sd_bus_attach_event(bus, loop, SD_EVENT_PRIORITY_NORMAL);
    sd_bus_start(bus);
    while (!stop_ && sd_event_run(loop, 10'000) >= 0) {
      // A busy manager: what was sent in pieces is there in one.
      ::usleep(2'000);
    }
    sd_bus_detach_event(bus);
    sd_event_unref(loop);
    sd_bus_close(bus);
    sd_bus_unref(bus);
  }

  static int on_message(sd_bus_message* message, void* self, sd_bus_error*) {
    return static_cast<Manager*>(self)->answer(message);
  }

  int answer(sd_bus_message* message) {
    if (sd_bus_message_is_method_call(message, nullptr, nullptr) <= 0) return 0;
    const std::string name = sd_bus_message_get_member(message);
    if (name == "StartTransientUnit") return start(message);
    const char* unit = "";
    if (name == "StopUnit" || name == "ResetFailedUnit") sd_bus_message_read_basic(message, 's', &unit);
    calls.push_back(name + (*unit != 0 ? " " + std::string(unit) : ""));
    if (name == "StopUnit" && no_such_unit)
      return sd_bus_reply_method_errorf(message, "org.freedesktop.systemd1.NoSuchUnit", "Unit %s not loaded.", unit);
    if (name == "StopUnit") return job(message, unit);
    if (name == "SetUnitProperties") {
      int runtime = 0;
      sd_bus_message_read(message, "sb", &unit, &runtime);
      calls.back() += fmt::format(" {} {} {}", unit, runtime, properties(message));
    }
    if (name == "AttachProcessesToUnit") {
      const char* group = nullptr;
      const void* pids = nullptr;
      std::size_t size = 0;
      sd_bus_message_read(message, "ss", &unit, &group);
      sd_bus_message_read_array(message, 'u', &pids, &size);
      calls.back() += fmt::format(" {} {} [{}]", unit, group, *static_cast<const std::uint32_t*>(pids));
    }
    if (name == "Get") return sd_bus_reply_method_return(message, "v", "s", "/user.slice/manager");
    return sd_bus_reply_method_return(message, "");
  }

  int start(sd_bus_message* message) {
    const char* unit = nullptr;
    const char* mode = nullptr;
    if (sd_bus_message_read(message, "ss", &unit, &mode) < 0) return -EINVAL;
    std::string call = fmt::format("StartTransientUnit {} {} {}", unit, mode, properties(message));
    // The auxiliary units: an empty list, and then the message has to be at its end.
    if (sd_bus_message_skip(message, "a(sa(sv))") < 0 || sd_bus_message_at_end(message, 1) <= 0) call += " MALFORMED";
    calls.push_back(call);
    if (exists_answers-- > 0)
      return sd_bus_reply_method_errorf(message, "org.freedesktop.systemd1.UnitExists", "Unit %s exists.", unit);
    return job(message, unit);
  }

  // The signal may come before the reply.
  int job(sd_bus_message* message, const char* unit) {
    sd_bus* bus = sd_bus_message_get_bus(message);
    sd_bus_emit_signal(bus, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "JobRemoved", "uoss", 4U,
                       "/org/freedesktop/systemd1/job/4", "other.scope", "failed");
    sd_bus_emit_signal(bus, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "JobRemoved", "uoss", 5U,
                       "/org/freedesktop/systemd1/job/5", unit, job_result.c_str());
    return sd_bus_reply_method_return(message, "o", "/org/freedesktop/systemd1/job/5");
  }

  // The next value as sd-bus reads it, in the form of tree_text().
  static std::string tree(sd_bus_message* message) {
    char type = 0;
    const char* contents = nullptr;
    if (sd_bus_message_peek_type(message, &type, &contents) <= 0) return "END";
    std::string inside = contents != nullptr ? contents : "";
    std::string out(1, type);
    if (type == 'a') out += inside;
    if (type == 'r') out = "(" + inside + ")";
    if (type == 'e') out = "{" + inside + "}";
    out += ":";
    if (contents == nullptr) return out + basic(message, type);
    sd_bus_message_enter_container(message, type, inside.c_str());
    if (sd_bus_message_at_end(message, 0) > 0) out += "0";
    while (sd_bus_message_at_end(message, 0) == 0) out += "[" + tree(message) + "]";
    sd_bus_message_exit_container(message);
    return out;
  }

  static std::string basic(sd_bus_message* message, char type) {
    std::uint64_t bits = 0;
    const char* text = nullptr;
    if (type == 's' || type == 'o' || type == 'g') {
      sd_bus_message_read_basic(message, type, &text);
      return text;
    }
    sd_bus_message_read_basic(message, type, &bits);
    if (type == 'n') bits = static_cast<std::uint64_t>(static_cast<std::int16_t>(bits));
    if (type == 'i') bits = static_cast<std::uint64_t>(static_cast<std::int32_t>(bits));
    return std::to_string(bits);
  }

  std::string properties(sd_bus_message* message) const {
    std::string out;
    sd_bus_message_enter_container(message, 'a', "(sv)");
    while (sd_bus_message_enter_container(message, 'r', "sv") > 0) {
      const char* name = nullptr;
      sd_bus_message_read_basic(message, 's', &name);
      out += (out.empty() ? "" : ",") + std::string(name) + "=" + value(message);
      sd_bus_message_exit_container(message);
    }
    sd_bus_message_exit_container(message);
    return out;
  }

  std::string value(sd_bus_message* message) const {
    char type = 0;
    const char* contents = nullptr;
    sd_bus_message_peek_type(message, &type, &contents);
    const std::string inside = contents;
    sd_bus_message_enter_container(message, 'v', inside.c_str());
    if (prints_trees) {
      const std::string whole = tree(message);
      sd_bus_message_exit_container(message);
      return whole;
    }
    std::string out = "?";
    const void* bytes = nullptr;
    std::size_t size = 0;
    int truth = 0;
    std::uint64_t count = 0;
    const char* text = nullptr;
    if (inside == "b" && sd_bus_message_read_basic(message, 'b', &truth) > 0) out = truth != 0 ? "yes" : "no";
    if (inside == "t" && sd_bus_message_read_basic(message, 't', &count) > 0) out = std::to_string(count);
    if (inside == "s" && sd_bus_message_read_basic(message, 's', &text) > 0) out = text;
    if (inside == "au" && sd_bus_message_read_array(message, 'u', &bytes, &size) > 0)
      out = fmt::format("[{}]", *static_cast<const std::uint32_t*>(bytes));
    if (inside == "ay" && sd_bus_message_read_array(message, 'y', &bytes, &size) > 0)
      out = fmt::format("<{}>", *static_cast<const std::uint8_t*>(bytes));
    sd_bus_message_exit_container(message);
    return out;
  }

  std::string path_;
  UniqueFd listener_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class SystemdBus : public ::testing::TestWithParam<bool> {
 protected:
  testing::ScratchDirectory scratch_;
  Manager manager_{scratch_ / "private"};
};

const std::vector<UnitProperty> kProperties = {{"Delegate", true},
                                               {"Slice", std::string("system.slice")},
                                               {"PIDs", std::vector<std::uint32_t>{42}},
                                               {"MemoryMax", std::uint64_t{1} << 40},
                                               {"AllowedCPUs", std::vector<std::uint8_t>{5}}};

TEST_P(SystemdBus, StartsChangesAndStopsAUnit) {
  auto systemd = SystemdManager::connect_to(manager_.path(), GetParam());
  systemd.start_unit("a.scope", kProperties);
  systemd.set_properties("a.scope", {{"TasksMax", std::uint64_t{9}}});
  EXPECT_EQ(systemd.control_group(), "/user.slice/manager");
  systemd.stop_unit("a.scope");
  std::vector<std::string> wanted = {
      "StartTransientUnit a.scope replace "
      "Delegate=yes,Slice=system.slice,PIDs=[42],MemoryMax=1099511627776,AllowedCPUs=<5>",
      "SetUnitProperties a.scope 1 TasksMax=9", "Get", "StopUnit a.scope", "ResetFailedUnit a.scope"};
  if (GetParam()) wanted.insert(wanted.begin(), {"Hello", "AddMatch", "Subscribe"});
  EXPECT_EQ(manager_.calls, wanted);
}
INSTANTIATE_TEST_SUITE_P(Both, SystemdBus, ::testing::Bool());

// Each behind another property's name, so that alignment counts.
TEST_F(SystemdBus, ValuesOfEveryTypeAreUnderstood) {
  manager_.prints_trees = true;
  std::vector<UnitProperty> properties;
  std::string wanted;
  std::string name = "P";
  for (const char* text : {"byte 7",
                           "int16 -2",
                           "uint16 2",
                           "-3",
                           "uint32 3",
                           "int64 -4",
                           "uint64 4",
                           "0.5",
                           "true",
                           "'text'",
                           "objectpath '/a'",
                           "signature 'as'",
                           "['a', 'b']",
                           "@as []",
                           "@ax []",
                           "[int64 1]",
                           "@a(st) [('/dev/x', 5), ('/dev/y', 6)]",
                           "('a', true, (1, 0.5))",
                           "@a{sv} {}",
                           "{'a': <1>, 'b': <[uint64 5]>}",
                           "<<'v'>>",
                           "b'xy'",
                           "[@a{st} {'k': 9}]"}) {
    properties.push_back({name, parse_gvariant(text)});
    wanted += (wanted.empty() ? "" : ",") + name + "=" + tree_text(std::get<BusTree>(properties.back().value));
    name += 'p';
  }
  SystemdManager::connect_to(manager_.path(), false).start_unit("a.scope", properties);
  EXPECT_THAT(manager_.calls, ElementsAre("StartTransientUnit a.scope replace " + wanted));
}

TEST_F(SystemdBus, AFailedUnitOfTheSameNameIsReset) {
  manager_.exists_answers = 1;
  SystemdManager::connect_to(manager_.path(), false).start_unit("a.scope", {});
  EXPECT_THAT(manager_.calls, ElementsAre("StartTransientUnit a.scope replace ", "ResetFailedUnit a.scope",
                                          "StartTransientUnit a.scope replace "));
}

std::string failure(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.message();
  }
  return "no failure";
}

TEST_F(SystemdBus, RefusalsAndFailedJobsAreTold) {
  manager_.exists_answers = 2;
  auto systemd = SystemdManager::connect_to(manager_.path(), false);
  EXPECT_EQ(failure([&] { systemd.start_unit("a.scope", {}); }),
            "start unit a.scope: systemd refused: Unit a.scope exists. (org.freedesktop.systemd1.UnitExists)");
  manager_.job_result = "timeout";
  EXPECT_THAT(failure([&] { systemd.start_unit("a.scope", {}); }), HasSubstr("systemd's job ended with \"timeout\""));
}

TEST_F(SystemdBus, OneThatIsActiveIsToldApart) {
  manager_.exists_answers = 2;
  auto systemd = SystemdManager::connect_to(manager_.path(), false);
  EXPECT_FALSE(systemd.try_start_unit("a.scope", {}));
  EXPECT_TRUE(systemd.try_start_unit("a.scope", {}));
}

TEST_F(SystemdBus, MovesAProcessIntoAUnit) {
  SystemdManager::connect_to(manager_.path(), false).attach_process("a.scope", "/leaf", 42);
  EXPECT_THAT(manager_.calls, ElementsAre("AttachProcessesToUnit a.scope /leaf [42]"));
}

TEST_F(SystemdBus, StoppingWhatIsGoneIsNoFailure) {
  manager_.no_such_unit = true;
  SystemdManager::connect_to(manager_.path(), false).stop_unit("a.scope");
  EXPECT_THAT(manager_.calls, ElementsAre("StopUnit a.scope"));
}

}  // namespace
}  // namespace bryo::runtime::command

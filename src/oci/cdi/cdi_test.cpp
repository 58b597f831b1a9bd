#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "base/error.hpp"
#include "oci/cdi/registry.hpp"
#include "oci/cdi/yaml.hpp"

namespace bryo::oci::cdi {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kDevice = R"({"name": "one", "containerEdits": {"env": ["A=1"]}})";

std::string file(const std::string& version = "0.3.0", const std::string& kind = "vendor.com/class",
                 const std::string& devices = kDevice, const std::string& more = "") {
  return R"({"cdiVersion": ")" + version + R"(", "kind": ")" + kind + R"(", "devices": [)" + devices + "]" + more + "}";
}

std::string device(const std::string& edits, const std::string& name = "one") {
  return R"({"name": ")" + name + R"(", "containerEdits": )" + edits + "}";
}

template <typename Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
    return error.message();
  }
  return "no error";
}

std::string refusal(const std::string& text, Format format = Format::json) {
  return message_of([&] { parse_spec(text, format); });
}

TEST(CdiSpec, EveryFieldIsRead) {
  const Spec spec = parse_spec(R"({
    "cdiVersion": "1.1.0", "kind": "vendor.com/class", "annotations": {"a": "b"},
    "devices": [{"name": "0:1.a-b_c", "annotations": {"c": "d"}, "containerEdits": {
      "env": ["X=1=2"],
      "deviceNodes": [{"path": "/dev/x", "hostPath": "/dev/y", "type": "c", "major": 10, "minor": 229, "fileMode": 438,
                       "permissions": "rw", "uid": 1, "gid": 2}],
      "mounts": [{"hostPath": "/a", "containerPath": "/b", "type": "none", "options": ["ro", "bind"]}],
      "hooks": [{"hookName": "createContainer", "path": "/bin/h", "args": ["h", "x"], "env": ["E=1"], "timeout": 3}],
      "netDevices": [{"hostInterfaceName": "eth5", "name": "net0"}],
      "intelRdt": {"closID": "gold", "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=20", "schemata": ["L3:0=f"],
                   "enableMonitoring": true},
      "additionalGids": [0, 44]}}],
    "containerEdits": {"env": ["ALL=1"]}})",
                               Format::json);
  EXPECT_EQ(spec.kind, "vendor.com/class");
  EXPECT_THAT(spec.edits.env, ElementsAre("ALL=1"));
  const ContainerEdits& edits = spec.devices.at(0).edits;
  EXPECT_EQ(spec.devices[0].name, "0:1.a-b_c");
  EXPECT_THAT(edits.env, ElementsAre("X=1=2"));
  const DeviceNode& node = edits.device_nodes.at(0);
  EXPECT_EQ(node.path, "/dev/x");
  EXPECT_EQ(node.host_path, "/dev/y");
  EXPECT_EQ(node.major, 10);
  EXPECT_EQ(node.minor, 229);
  EXPECT_EQ(node.file_mode, 0666U);
  EXPECT_EQ(node.permissions, "rw");
  EXPECT_EQ(node.uid, 1U);
  EXPECT_EQ(node.gid, 2U);
  EXPECT_THAT(edits.mounts.at(0).options, ElementsAre("ro", "bind"));
  EXPECT_EQ(edits.hooks.at(0).timeout, 3);
  EXPECT_THAT(edits.hooks[0].args, ElementsAre("h", "x"));
  EXPECT_EQ(edits.net_devices.at(0).host_name, "eth5");
  EXPECT_EQ(edits.intel_rdt->clos_id, "gold");
  EXPECT_THAT(edits.additional_gids, ElementsAre(0, 44));
}

TEST(CdiSpec, KindsAndNamesAreTheSpecifications) {
  for (const char* kind : {"vendor.com/foo", "foo.bar.baz/foo-bar123_az", "v/c"})
    EXPECT_EQ(refusal(file("0.3.0", kind)), "no error") << kind;
  for (const char* kind : {"foo", "vendor.com/foo/", "vendor.com/foo/bar", "/foo", "vendor.com/", "1vendor/foo", "v/-",
                           "v/c-", "v/c d", ""})
    EXPECT_THAT(refusal(file("1.0.0", kind)), HasSubstr("kind: ")) << kind;
  EXPECT_THAT(refusal(file("1.0.0", "v/" + std::string(64, 'a'))), HasSubstr("kind: "));
  for (const char* name : {"", "-a", "a-", "a b", "a=b", "a/b", "."})
    EXPECT_THAT(refusal(file("1.0.0", "v/c", device(R"({"env": ["A=1"]})", name))), HasSubstr("devices[0].name"))
        << name;
  EXPECT_TRUE(is_qualified_name("vendor.com/class=0"));
  for (const char* text : {"/dev/null", "/dev/a=b", "vendor.com/class", "vendor.com/class=", "class=x", "a/b=c/d"})
    EXPECT_FALSE(is_qualified_name(text)) << text;
}

TEST(CdiSpec, WhatIsYoungerThanTheVersionIsRefused) {
  const auto edits = [](const char* text) { return device(text); };
  struct Case {
    const char* before;
    const char* since;
    std::string kind;
    std::string devices;
  };
  const Case cases[] = {
      {"0.3.0", "0.4.0", "v/c", edits(R"({"mounts": [{"hostPath": "/a", "containerPath": "/b", "type": "none"}]})")},
      {"0.4.0", "0.5.0", "v/c", edits(R"({"deviceNodes": [{"path": "/dev/a", "hostPath": "/dev/b"}]})")},
      {"0.4.0", "0.5.0", "v/c", device(R"({"env": ["A=1"]})", "0")},
      {"0.5.0", "0.6.0", "v/c.d", kDevice},
      {"0.6.0", "0.7.0", "v/c", edits(R"({"additionalGids": [5]})")},
      {"0.6.0", "v0.7.0", "v/c", edits(R"({"intelRdt": {"closID": "x"}})")},
      {"1.0.0", "1.1.0", "v/c", edits(R"({"netDevices": [{"hostInterfaceName": "a", "name": "b"}]})")}};
  for (const Case& each : cases) {
    EXPECT_THAT(refusal(file(each.before, each.kind, each.devices)), HasSubstr("cdiVersion: ")) << each.devices;
    EXPECT_EQ(refusal(file(each.since, each.kind, each.devices)), "no error") << each.devices;
  }
  for (const char* version : {"", "1", "1.1", "x.y.z", "1.2.0", "2.0.0"})
    EXPECT_THAT(refusal(file(version)), HasSubstr("cdiVersion: ")) << version;
}

TEST(CdiSpec, WrongEditsAreRefusedByField) {
  const auto refused = [](const char* edits) { return refusal(file("1.1.0", "v/c", device(edits))); };
  EXPECT_THAT(refused("{}"), HasSubstr("devices[0].containerEdits: there is none"));
  EXPECT_THAT(refused(R"({"env": ["A"]})"), HasSubstr("devices[0].containerEdits.env"));
  EXPECT_THAT(refused(R"({"deviceNodes": [{"path": "dev/a"}]})"), HasSubstr("deviceNodes[0].path"));
  EXPECT_THAT(refused(R"({"deviceNodes": [{"path": "/dev/a", "type": "x"}]})"), HasSubstr("deviceNodes[0].type"));
  EXPECT_THAT(refused(R"({"deviceNodes": [{"path": "/dev/a", "permissions": "rx"}]})"), HasSubstr("permissions"));
  EXPECT_THAT(refused(R"({"hooks": [{"hookName": "x", "path": "/a"}]})"), HasSubstr("hooks[0].hookName"));
  EXPECT_THAT(refused(R"({"hooks": [{"hookName": "poststop", "path": "a"}]})"), HasSubstr("hooks[0].path"));
  EXPECT_THAT(refused(R"({"mounts": [{"containerPath": "/a"}]})"), HasSubstr("mounts[0].hostPath"));
  EXPECT_THAT(refused(R"({"env": ["A=1"], "gpu": 1})"), HasSubstr("devices[0].containerEdits.gpu: no such field"));
  EXPECT_THAT(refusal(file("1.1.0", "v/c", kDevice + "," + kDevice)), HasSubstr("devices[1].name: one is there twice"));
  EXPECT_THAT(refusal(file("1.1.0", "v/c", "")), HasSubstr("devices: there is none"));
  EXPECT_THAT(refusal("[]"), HasSubstr("is an object"));
}

TEST(CdiYaml, IsTheJsonThatItStandsFor) {
  EXPECT_EQ(json::serialize(yaml_to_json(
                "---\na: 1\nb: [x, 'y', \"1\", true, ~]\nc:\n- d: 0x1f\n  e: 0666\n  f: 0o17\n- -5\ng: {}\nh: 1.5\n")),
            R"({"a":1,"b":["x","y","1",true,null],"c":[{"d":31,"e":438,"f":15},-5],"g":{},"h":"1.5"})");
  const Spec spec = parse_spec(
      "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: \"0\"\n  containerEdits:\n    deviceNodes:\n"
      "    - path: /dev/nvidia0\n      permissions: rw\n",
      Format::yaml);
  EXPECT_EQ(spec.devices.at(0).name, "0");
  EXPECT_EQ(spec.devices[0].edits.device_nodes.at(0).path, "/dev/nvidia0");
}

TEST(CdiYaml, WhatCouldMeanSomethingElseIsRefused) {
  const auto refused = [](const std::string& text) { return message_of([&] { yaml_to_json(text); }); };
  EXPECT_THAT(refused("a: &x 1\nb: *x\n"), HasSubstr("line 1, column 4: anchors"));
  EXPECT_THAT(refused("a: *x\n"), HasSubstr("line 1, column 4: aliases"));
  EXPECT_THAT(refused("a: !!python/object:x {}\n"), HasSubstr("tags"));
  EXPECT_THAT(refused("a: 1\na: 2\n"), HasSubstr("line 2, column 1: the key \"a\" is there twice"));
  EXPECT_THAT(refused("a: 1\n---\nb: 2\n"), HasSubstr("one document"));
  EXPECT_THAT(refused("a: [1\n"), HasSubstr("line 2"));
  EXPECT_THAT(refused("[a]: 1\n"), HasSubstr("a key must be a word"));
  EXPECT_THAT(refused(std::string(100, '[')), HasSubstr("nested too deeply"));
  EXPECT_THAT(refused(""), HasSubstr("one document"));
}

class CdiRegistry : public testing::Test {
 protected:
  CdiRegistry() {
    char name[] = "/tmp/cdi-XXXXXX";
    root_ = ::mkdtemp(name);
    for (const char* each : {"low", "high"}) ::mkdir((root_ + "/" + each).c_str(), 0755);
  }
  ~CdiRegistry() override { std::system(("rm -r " + root_).c_str()); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(root_ + "/" + name) << text; }
  Registry scan() const {
    const std::string directories[] = {root_ + "/none", root_ + "/low", root_ + "/high"};
    return Registry::scan(directories);
  }
  static std::vector<std::string> environment(const Registry& registry, std::vector<std::string> names) {
    return registry.edits_of(names).env;
  }
  std::string root_;
};

TEST_F(CdiRegistry, LaterDirectoriesCountMore) {
  write("low/a.json",
        file("0.3.0", "v/c", device(R"({"env": ["FROM=low"]})") + "," + device(R"({"env": ["B=1"]})", "b")));
  write("high/a.yaml", "cdiVersion: 0.3.0\nkind: v/c\ndevices: [{name: one, containerEdits: {env: [FROM=high]}}]\n");
  const Registry registry = scan();
  EXPECT_THAT(registry.problems(), IsEmpty());
  EXPECT_THAT(registry.names(), ElementsAre("v/c=b", "v/c=one"));
  EXPECT_THAT(environment(registry, {"v/c=one"}), ElementsAre("FROM=high"));
  EXPECT_THAT(environment(registry, {"v/c=b"}), ElementsAre("B=1"));
}

TEST_F(CdiRegistry, EditsOfAFileComeOnce) {
  write("low/a.json", file("0.3.0", "v/c", kDevice + "," + device(R"({"env": ["B=1"]})", "b"),
                           R"(, "containerEdits": {"env": ["ALL=1"]})"));
  EXPECT_THAT(environment(scan(), {"v/c=one", "v/c=b"}), ElementsAre("ALL=1", "A=1", "B=1"));
}

TEST_F(CdiRegistry, ConflictsAndWrongFilesAreSaidWhenADeviceIsMissing) {
  write("low/a.json", file("0.3.0", "v/c", kDevice));
  write("low/b.json", file("0.3.0", "v/c", kDevice + "," + device(R"({"env": ["B=1"]})", "b")));
  write("low/broken.yaml", "cdiVersion: [\n");
  write("low/ignored.txt", "x");
  ::mkfifo((root_ + "/low/pipe.json").c_str(), 0600);
  const Registry registry = scan();
  EXPECT_THAT(registry.names(), ElementsAre("v/c=b"));
  const std::string why = message_of([&] { environment(registry, {"v/c=b", "v/c=one", "v/c=none"}); });
  EXPECT_THAT(why, HasSubstr("unresolvable CDI devices v/c=one, v/c=none: "));
  EXPECT_THAT(why, HasSubstr("v/c=one is in both " + root_ + "/low/a.json and " + root_ + "/low/b.json"));
  EXPECT_THAT(why, HasSubstr(root_ + "/low/broken.yaml: line"));
  EXPECT_THAT(why, HasSubstr(root_ + "/low/pipe.json: not a file"));
}

// Hooks are run with the engine's rights.
TEST_F(CdiRegistry, WhatEverybodyMayWriteIsNotRead) {
  write("low/a.json", file("0.3.0", "v/c", kDevice));
  ::chmod((root_ + "/low/a.json").c_str(), 0646);
  EXPECT_THAT(scan().problems(), ElementsAre(HasSubstr("/low/a.json: everybody may write it")));
  EXPECT_THAT(scan().names(), IsEmpty());
  ::chmod((root_ + "/low/a.json").c_str(), 0644);
  EXPECT_THAT(scan().names(), ElementsAre("v/c=one"));
  ::chmod((root_ + "/low").c_str(), 01777);
  EXPECT_THAT(scan().problems(), ElementsAre(HasSubstr("/low: everybody may write it")));
}

}  // namespace
}  // namespace bryo::oci::cdi

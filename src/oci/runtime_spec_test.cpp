// config.json in and out.
#include <gmock/gmock.h>

#include "base/error.hpp"
#include "oci/runtime_spec_json.hpp"

namespace bryo::oci {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kConfig = R"({
  "ociVersion": "1.0.2-dev",
  "process": {
    "terminal": true, "consoleSize": {"height": 24, "width": 80},
    "user": {"uid": 1000, "gid": 1001, "umask": 63, "additionalGids": [5, 6]},
    "args": ["sh", "-c", "true"], "env": ["A=b"], "cwd": "/w",
    "capabilities": {"bounding": ["CAP_CHOWN"], "ambient": []},
    "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 18446744073709551615, "soft": 1024}],
    "noNewPrivileges": true, "oomScoreAdj": -5,
    "scheduler": {"policy": "SCHED_FIFO", "priority": 10},
    "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 3}
  },
  "root": {"path": "rootfs", "readonly": true},
  "hostname": "h",
  "mounts": [{"destination": "/v", "type": "bind", "source": "/data", "options": ["rbind", "ro"],
              "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}]}],
  "hooks": {"prestart": [{"path": "/bin/hook", "args": ["hook", "x"], "timeout": 5}]},
  "annotations": {"k": "v"},
  "linux": {
    "uidMappings": [{"containerID": 0, "hostID": 165536, "size": 65536}],
    "sysctl": {"net.ipv4.ip_forward": "1"},
    "resources": {"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 3}],
                  "memory": {"limit": 1048576, "swap": -1}, "cpu": {"shares": 512, "cpus": "0-1"},
                  "pids": {"limit": 10}, "unified": {"memory.high": "max"}},
    "cgroupsPath": "/docker/x",
    "namespaces": [{"type": "pid"}, {"type": "network", "path": "/run/netns/n"}],
    "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0}],
    "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": ["SCMP_ARCH_X86_64"],
                "syscalls": [{"names": ["personality"], "action": "SCMP_ACT_ALLOW",
                              "args": [{"index": 0, "value": 4294967295, "op": "SCMP_CMP_EQ"}]}]},
    "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
    "timeOffsets": {"monotonic": {"secs": -1, "nanosecs": 5}},
    "unknownThing": {"ignored": true}
  }
})";

TEST(RuntimeSpec, IsRead) {
  const RuntimeSpec spec = parse_runtime_spec(kConfig);
  ASSERT_TRUE(spec.process && spec.linux_ && spec.root && spec.hooks);
  EXPECT_TRUE(spec.process->terminal);
  EXPECT_EQ(spec.process->console_size->width, 80U);
  EXPECT_EQ(spec.process->user.umask, 077U);
  EXPECT_THAT(spec.process->user.additional_gids, ElementsAre(5, 6));
  EXPECT_EQ(spec.process->rlimits[0].hard, UINT64_MAX);
  EXPECT_EQ(spec.process->oom_score_adj, -5);
  EXPECT_EQ(spec.process->scheduler->policy, "SCHED_FIFO");
  EXPECT_TRUE(spec.root->readonly);
  EXPECT_EQ(spec.mounts[0].uid_mappings[0].host_id, 1000U);
  EXPECT_EQ(spec.hooks->prestart[0].timeout, 5);
  EXPECT_EQ(spec.linux_->resources->memory->swap, -1);
  EXPECT_EQ(spec.linux_->resources->devices[0].major, std::nullopt);
  EXPECT_EQ(spec.linux_->resources->devices[1].minor, 3);
  EXPECT_EQ(spec.linux_->namespaces[1].path, "/run/netns/n");
  EXPECT_EQ(spec.linux_->seccomp->syscalls[0].args[0].value, 4294967295U);
  EXPECT_EQ(spec.linux_->time_offsets.at("monotonic").secs, -1);
}

TEST(RuntimeSpec, WrittenAndReadAgainIsTheSame) {
  const std::string once = format_runtime_spec(parse_runtime_spec(kConfig));
  EXPECT_EQ(format_runtime_spec(parse_runtime_spec(once)), once);
}

TEST(RuntimeSpec, ErrorsNameTheField) {
  const auto message = [](const char* text) -> std::string {
    try {
      parse_runtime_spec(text);
      return "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
      return error.message();
    }
  };
  EXPECT_THAT(message(R"({"ociVersion":"1.0","process":{"user":{"uid":"0","gid":0},"cwd":"/"}})"),
              HasSubstr("process.user.uid"));
  EXPECT_THAT(message(R"({"ociVersion":"1.0","process":{"user":{"uid":4294967296,"gid":0},"cwd":"/"}})"),
              HasSubstr("process.user.uid"));
  EXPECT_THAT(message(R"({"ociVersion":"1.0","process":{"user":{"uid":-1,"gid":0},"cwd":"/"}})"),
              HasSubstr("process.user.uid"));
  EXPECT_THAT(message(R"({"ociVersion":"1.0","mounts":[{"destination":"/a"},{"destination":5}]})"),
              HasSubstr("mounts[1].destination"));
  EXPECT_THAT(message(R"({"ociVersion":"2.0.0"})"), HasSubstr("2.0.0"));
  EXPECT_THAT(message(""), HasSubstr("JSON"));
  EXPECT_THAT(message("[]"), HasSubstr("object"));
}

}  // namespace
}  // namespace bryo::oci

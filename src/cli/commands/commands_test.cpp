// The pure parts of the commands: rows of lists, the rules of cp, names of commands.
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/commands/command.hpp"
#include "cli/commands/container_rows.hpp"
#include "cli/commands/copy_plan.hpp"
#include "cli/commands/image_rows.hpp"
#include "cli/commands/start_error.hpp"
#include "cli/commands/usage.hpp"
#include "cli/commands/values.hpp"

namespace bryo::cli {
namespace {

std::string ports(const char* text) { return ports_text(json::parse(text).as_array()); }

TEST(Ports, ConsecutiveOnesAreARangeAndAddressesAreShown) {
  EXPECT_EQ(ports("[]"), "");
  EXPECT_EQ(ports(R"([{"PrivatePort":80,"Type":"tcp"}])"), "80/tcp");
  EXPECT_EQ(ports(R"([{"PrivatePort":82,"Type":"tcp"},{"PrivatePort":80,"Type":"tcp"},{"PrivatePort":81,"Type":"tcp"},
                      {"PrivatePort":90,"Type":"tcp"}])"),
            "80-82/tcp, 90/tcp");
  EXPECT_EQ(ports(R"([{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":80,"Type":"tcp"},
                      {"IP":"0.0.0.0","PrivatePort":81,"PublicPort":81,"Type":"tcp"},
                      {"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},
                      {"PrivatePort":53,"Type":"udp"}])"),
            "53/udp, 0.0.0.0:80-81->80-81/tcp, [::]:8080->80/tcp");
}

TEST(ContainerRow, FieldsAsDockerShowsThem) {
  const json::Value container =
      json::parse(R"({"Id":"0123456789abcdef","Names":["/web","/other/alias"],"Image":"busybox",
    "ImageID":"sha256:ffff","Command":"sh -c 'echo a very long command'","Created":1000,"State":"running","Status":"Up",
    "Labels":{"b":"2","a":"1"},"SizeRw":0,"SizeRootFs":1982256,"Mounts":[{"Name":"volume","Driver":"local"},
    {"Source":"/a/very/long/path/indeed"}],"NetworkSettings":{"Networks":{"bridge":{}}}})");
  const Row row = container_row(container, true, 1004);
  const auto field = [&](const char* name) { return text_at(row.fields, name); };
  EXPECT_EQ(field("ID"), "0123456789ab");
  EXPECT_EQ(field("Names"), "web");
  EXPECT_EQ(field("Command"), "\"sh -c 'echo a very …\"");
  EXPECT_EQ(field("RunningFor"), "4 seconds ago");
  EXPECT_EQ(field("Size"), "0B (virtual 1.98MB)");
  EXPECT_EQ(field("Labels"), "a=1,b=2");
  EXPECT_EQ(field("Mounts"), "volume,/a/very/long/p…");
  EXPECT_EQ(field("LocalVolumes"), "1");
  EXPECT_EQ(text_at(container_row(container, false, 1004).fields, "Names"), "web,other/alias");
}

TEST(ContainerRow, AHostileAnswerDoesNoHarm) {
  for (const char* text :
       {"{}", "[]", "null", R"({"Id":5,"Names":"x","Ports":{},"Labels":[1],"Created":1e300,"Mounts":[null]})"})
    EXPECT_NO_THROW(container_row(json::parse(text), true, 0)) << text;
}

TEST(ImageRow, ARowForEachName) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const json::Value image =
      json::parse(R"({"Id":"sha256:0123456789abcdef","RepoTags":["busybox:latest","busybox:1","x.example/y:z"],
    "RepoDigests":["busybox@)" +
                  digest + R"("],"Size":1982256,"Created":1,"SharedSize":-1,"Containers":-1})");
  const auto rows = image_rows(image, {});
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(text_at(rows[1].fields, "Tag"), "1");
  EXPECT_EQ(text_at(rows[2].fields, "Repository"), "x.example/y");
  EXPECT_EQ(text_at(rows[0].fields, "Digest"), "<none>");
  ImageRowOptions digests;
  digests.digests = true;
  EXPECT_EQ(text_at(image_rows(image, digests)[0].fields, "Digest"), digest);
  const auto dangling = image_rows(json::parse(R"({"RepoTags":["<none>:<none>"],"RepoDigests":null})"), {});
  ASSERT_EQ(dangling.size(), 1U);
  EXPECT_EQ(text_at(dangling[0].fields, "Repository"), "<none>");
}

TEST(Usage, PercentagesOfBothCgroupVersions) {
  const Usage usage = usage_of(json::parse(R"({"id":"0123456789abcdef","name":"/web",
    "cpu_stats":{"cpu_usage":{"total_usage":300},"system_cpu_usage":2000,"online_cpus":2},
    "precpu_stats":{"cpu_usage":{"total_usage":100},"system_cpu_usage":1000},
    "memory_stats":{"usage":3000,"limit":10000,"stats":{"inactive_file":1000}},"pids_stats":{"current":3},
    "networks":{"eth0":{"rx_bytes":10,"tx_bytes":20},"eth1":{"rx_bytes":1,"tx_bytes":2}},
    "blkio_stats":{"io_service_bytes_recursive":[{"op":"Read","value":5},{"op":"write","value":7}]}})"));
  EXPECT_DOUBLE_EQ(usage.cpu_percent, 40);
  EXPECT_DOUBLE_EQ(usage.memory, 2000);
  EXPECT_DOUBLE_EQ(usage.memory_percent, 20);
  const Row row = usage_row(usage, true);
  EXPECT_EQ(text_at(row.fields, "NetIO"), "11B / 22B");
  EXPECT_EQ(text_at(row.fields, "BlockIO"), "5B / 7B");
  EXPECT_EQ(text_at(row.fields, "CPUPerc"), "40.00%");
  EXPECT_EQ(text_at(usage_row(Usage(), true).fields, "CPUPerc"), "--");
}

struct CopyCase {
  CopyEnd source;
  CopyEnd destination;
  CopyPlan plan;
};

// docs of `docker cp`: a file or directory, to something that exists as directory, as file, or not at all.
TEST(Copy, WhereThingsLand) {
  const CopyCase cases[] = {{{"/etc/passwd", true, false}, {"/dst", true, true}, {"/dst", "passwd", "passwd"}},
                            {{"/etc/passwd", true, false}, {"/dst/file", true, false}, {"/dst", "passwd", "file"}},
                            {{"/etc/passwd", true, false}, {"/dst/new", false, false}, {"/dst", "passwd", "new"}},
                            {{"/etc", true, true}, {"/dst", true, true}, {"/dst", "etc", "etc"}},
                            {{"/etc", true, true}, {"/dst/new", false, false}, {"/dst", "etc", "new"}},
                            {{"/etc/.", true, true}, {"/dst", true, true}, {"/dst", ".", "."}},
                            {{"/etc/.", true, true}, {"/dst/new", false, false}, {"/dst", ".", "new"}},
                            {{"/", true, true}, {"/dst", true, true}, {"/dst", "/", "/"}},
                            {{"/lib64/x", true, false, "link"}, {"/dst", true, true}, {"/dst", "link", "link"}}};
  for (const CopyCase& one : cases) {
    const CopyPlan plan = plan_copy(one.source, one.destination);
    EXPECT_EQ(plan.directory, one.plan.directory) << one.source.path;
    EXPECT_EQ(plan.base, one.plan.base) << one.source.path;
    EXPECT_EQ(plan.replacement, one.plan.replacement) << one.source.path;
  }
  EXPECT_THROW(plan_copy({"/etc", true, true}, {"/dst/file", true, false}), Error);
  EXPECT_THROW(plan_copy({"/etc/passwd", true, false}, {"/dst/new/", false, false}), Error);
}

TEST(Copy, ArgumentsAreContainersOrPaths) {
  EXPECT_EQ(split_copy_argument("c:/x").first, "c");
  EXPECT_EQ(split_copy_argument("c:/x:y").second, "/x:y");
  for (const char* local : {"/a:b", "./a:b", "../a:b", "-", "plain"})
    EXPECT_FALSE(split_copy_argument(local).first) << local;
  EXPECT_TRUE(asserts_directory("a/"));
  EXPECT_TRUE(asserts_directory("a/."));
  EXPECT_FALSE(asserts_directory("a"));
  EXPECT_EQ(absolute_keeping_end("/a/b/"), "/a/b/");
  EXPECT_EQ(absolute_keeping_end("/a/b/."), "/a/b/.");
}

TEST(StartError, StatusesOfTheShell) {
  const auto status = [](const char* message) {
    return with_start_status(Error(ErrorKind::internal, message)).exit_code();
  };
  EXPECT_EQ(status("exec: \"nope\": executable file not found in $PATH"), 127);
  EXPECT_EQ(status("stat /nope: no such file or directory"), 127);
  EXPECT_EQ(status("exec: \"/etc\": permission denied"), 126);
  EXPECT_EQ(status("exec: \"/etc\": is a directory"), 126);
  EXPECT_EQ(status("anything else"), 125);
}

TEST(Catalogue, EveryNameIsKnownOnce) {
  std::vector<std::string> names;
  for (const Command* command : catalogue()) {
    EXPECT_NE(command->run, nullptr) << command->names;
    for (const std::string_view name : split(command->names, '|')) names.emplace_back(name);
    EXPECT_FALSE(command_help(*command, split(command->names, '|')[0]).empty());
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  for (const std::string& name : names) {
    std::vector<std::string> line;
    for (const std::string_view word : split(name, ' ')) line.emplace_back(word);
    line.emplace_back("extra");
    EXPECT_EQ(find_command(line).words, line.size() - 1) << name;
  }
}

TEST(Catalogue, OptionsOfACommandDoNotCollide) {
  for (const Command* command : catalogue()) {
    std::vector<std::string> seen;
    for (const OptionTable table : {command->options, command->more})
      for (const Option& row : table) {
        seen.emplace_back(row.name);
        if (row.letter != 0) seen.emplace_back(1, row.letter);
        EXPECT_TRUE(row.kind != nullptr || !row.same_as.empty()) << row.name;
      }
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end()) << command->names;
  }
}

TEST(Catalogue, GroupsAndUnknownWords) {
  EXPECT_EQ(find_command(std::vector<std::string>{"container"}).command, nullptr);
  EXPECT_NE(find_command(std::vector<std::string>{"container", "nope"}).group, nullptr);
  EXPECT_EQ(find_command(std::vector<std::string>{"nope"}).group, nullptr);
}

}  // namespace
}  // namespace bryo::cli

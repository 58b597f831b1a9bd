#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "base/strings.hpp"
#include "cli/format/json_text.hpp"
#include "cli/format/listing.hpp"
#include "cli/format/path_text.hpp"
#include "cli/options/create_options.hpp"
#include "cli/options/csv.hpp"
#include "cli/options/port_spec.hpp"
#include "cli/options/value_files.hpp"

namespace bryo::cli {
namespace {

using json::Array;
using json::Object;
using json::Value;

// Objects whose keys are data: an empty value in them means something.
bool holds_data(std::string_view name) {
  for (const char* key : {"ExposedPorts", "PortBindings", "Volumes", "Tmpfs", "Labels", "EndpointsConfig", "Sysctls",
                          "Annotations", "Config", "StorageOpt", "Options", "DriverOpts"})
    if (name == key) return true;
  return false;
}

bool is_nothing(const Value& value) {
  switch (value.kind()) {
    case boost::json::kind::null:
      return true;
    case boost::json::kind::bool_:
      return !value.get_bool();
    case boost::json::kind::string:
      return value.get_string().empty();
    case boost::json::kind::array:
      return value.get_array().empty();
    case boost::json::kind::object:
      return value.get_object().empty();
    default:
      return value.to_number<double>() == 0;
  }
}

// What the daemon sees of a body: fields that are zero, null or empty are as good as absent.
Value normal(const Value& value, std::string_view name = {}) {
  if (const auto* array = value.if_array()) {
    Array out;
    for (const Value& item : *array) out.push_back(normal(item));
    return out;
  }
  if (!value.is_object()) return value;
  Object out;
  for (const auto& item : value.get_object()) {
    const std::string_view key(item.key().data(), item.key().size());
    Value field = normal(item.value(), key);
    const bool unconfined = key == "MaskedPaths" || key == "ReadonlyPaths";  // [] is not null there
    const bool is_default = key == "MemorySwappiness" && field == Value(-1);
    const bool no_console = key == "ConsoleSize" && compact_json(field) == "[0,0]";
    const bool default_endpoint = key == "default" && name == "EndpointsConfig" && is_nothing(field);
    if (default_endpoint || is_default || no_console) continue;
    if (!holds_data(name) && is_nothing(field) && !(unconfined && field.is_array()) && key != "StopTimeout") continue;
    out[item.key()] = std::move(field);
  }
  return sorted_by_key(out);
}

std::string replace_directory(std::string text) {
  std::array<char, 4096> directory{};
  EXPECT_NE(::getcwd(directory.data(), directory.size()), nullptr);
  const std::string name = directory.data();
  for (auto at = text.find(name); at != std::string::npos; at = text.find(name)) text.replace(at, name.size(), "@CWD@");
  return text;
}

struct Outcome {
  std::string body;
  std::string query;
  std::string error;
};

Outcome create(const std::vector<std::string>& line, int api_minor = 47) {
  const OptionTable tables[] = {kCreateOptions};
  Outcome out;
  try {
    const Arguments arguments = Arguments::parse(tables, line, false);
    const CreateRequest request = build_create_request(arguments, false, api_minor);
    out.body = replace_directory(compact_json(normal(request.body)));
    out.query = request.name.empty() ? "" : "name=" + request.name;
    if (!request.platform.empty()) out.query += "platform=" + request.platform;
  } catch (const UsageError& error) {
    out.error = error.message;
  } catch (const Error& error) {
    out.error = error.message();
  }
  return out;
}

class Recorded : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::chdir(BRYO_TESTDATA), 0);
    ::setenv("FROM_ENV", "seen", 1);
    ::unsetenv("MISSING");
    ::unsetenv("NOT_SET_ANYWHERE");
  }
};

// As client 28.2 does it with a daemon of API 1.43.
TEST(OlderDaemons, HaveOneMacAddressAndNoStartInterval) {
  const Outcome mac = create({"--mac-address", "92:d0:c6:0a:29:33", "busybox"}, 43);
  EXPECT_THAT(mac.body, testing::HasSubstr(R"("MacAddress":"92:d0:c6:0a:29:33")"));
  EXPECT_THAT(mac.body, testing::Not(testing::HasSubstr("EndpointsConfig")));
  EXPECT_EQ(create({"--health-start-interval", "2s", "--health-cmd", "x", "busybox"}, 43).error,
            "\"--health-start-interval\" requires API version 1.44, but the Docker daemon API version is 1.43");
}

// testdata/create_bodies.json: what a stock docker client sent for each line of command_lines.txt.
TEST_F(Recorded, CreateSendsWhatDockerSends) {
  const Value recorded = json::parse(read_small_file("create_bodies.json"));
  std::size_t compared = 0;
  for (const Value& entry : recorded.as_array()) {
    std::vector<std::string> line;
    for (const Value& word : entry.at("args").as_array()) line.emplace_back(word.as_string().c_str());
    const Outcome ours = create(line);
    const std::string shown = compact_json(entry.at("args"));
    if (const Value* error = entry.as_object().if_contains("error")) {
      std::string expected = error->as_string().c_str();
      if (expected.starts_with("docker: ")) expected = expected.substr(8);
      EXPECT_EQ(ours.error, expected) << shown;
    } else {
      EXPECT_EQ(ours.error, "") << shown;
      EXPECT_EQ(ours.body, compact_json(normal(entry.at("body")))) << shown;
    }
    ++compared;
  }
  EXPECT_GT(compared, 200U);
}

TEST_F(Recorded, UserNamespacesOfOurOwnPass) {
  for (const char* mode : {"auto", "auto:size=4096", "keep-id", "host"}) {
    const Outcome outcome = create({"--userns", mode, "busybox"});
    EXPECT_EQ(outcome.error, "");
    EXPECT_NE(outcome.body.find(std::string("\"UsernsMode\":\"") + mode), std::string::npos);
  }
}

const Option kRows[] = {{"all", 'a', &kFlag, "", "Show all"},
                        {"last", 'n', &kInteger, "Limit", "Show n", "-1"},
                        {"filter", 'f', &kFilter, "", "Filter"},
                        {"word", 0, &kText, "A.B.C", "Text"},
                        {"old", 0, nullptr, "", "", "", "word"}};
const OptionTable kTables[] = {kRows};

Arguments parse(std::vector<std::string> line, bool interspersed = true) {
  return Arguments::parse(kTables, line, interspersed);
}

std::string usage_error(std::vector<std::string> line) {
  try {
    parse(std::move(line));
  } catch (const UsageError& error) {
    return error.message;
  }
  return "";
}

TEST(Parsing, EverySpellingOfAnOption) {
  EXPECT_EQ(parse({"-n5"}).number("last"), 5);
  EXPECT_EQ(parse({"-n=5"}).number("last"), 5);
  EXPECT_EQ(parse({"-n", "5"}).number("last"), 5);
  EXPECT_EQ(parse({"-an5"}).number("last"), 5);
  EXPECT_TRUE(parse({"-an5"}).flag("all"));
  EXPECT_FALSE(parse({"--all=false"}).flag("all"));
  EXPECT_EQ(parse({"--last=5", "--last", "6"}).number("last"), 6);
  EXPECT_EQ(parse({"--word="}).text("word", "x"), "");
  EXPECT_EQ(parse({}).text("word", "x"), "x");
  EXPECT_EQ(parse({"--old", "y"}).text("word"), "y");
  EXPECT_TRUE(parse({"--help"}).help());
}

TEST(Parsing, WordsAndOptionsMixOnlyWhereAllowed) {
  EXPECT_EQ(parse({"x", "-a", "y"}).words(), (std::vector<std::string>{"x", "y"}));
  const Arguments arguments = parse({"-a", "x", "-a", "--bogus"}, false);
  EXPECT_EQ(arguments.words(), (std::vector<std::string>{"x", "-a", "--bogus"}));
  EXPECT_EQ(parse({"--", "-a"}).words(), (std::vector<std::string>{"-a"}));
  EXPECT_EQ(parse({"-"}).words(), (std::vector<std::string>{"-"}));
}

TEST(Parsing, MistakesAreNamedAsDockerNamesThem) {
  EXPECT_EQ(usage_error({"--foo"}), "unknown flag: --foo");
  EXPECT_EQ(usage_error({"-axq"}), "unknown shorthand flag: 'x' in -xq");
  EXPECT_EQ(usage_error({"-n"}), "flag needs an argument: 'n' in -n");
  EXPECT_EQ(usage_error({"--last"}), "flag needs an argument: --last");
  EXPECT_EQ(usage_error({"-n", "x"}),
            "invalid argument \"x\" for \"-n, --last\" flag: strconv.ParseInt: parsing \"x\": invalid syntax");
  EXPECT_EQ(usage_error({"--all=foo"}),
            "invalid argument \"foo\" for \"-a, --all\" flag: strconv.ParseBool: parsing \"foo\": invalid syntax");
  EXPECT_EQ(usage_error({"-f", "x"}), "invalid argument \"x\" for \"-f, --filter\" flag: invalid filter 'x'");
}

TEST(Parsing, TargetsBecomeJson) {
  Object body;
  parse({"--word", "w", "-n", "3"}).fill(body);
  EXPECT_EQ(compact_json(sorted_by_key(body)), R"({"A":{"B":{"C":"w"}},"Limit":3})");
  EXPECT_EQ(compact_json(parse({"-f", "label=a", "-f", "label=b=c", "-f", "Name= x "}).filters()),
            R"({"label":{"a":true,"b=c":true},"name":{"x":true}})");
}

TEST(Parsing, HelpListsTheTable) {
  EXPECT_EQ(describe_options(kTables),
            "  -a, --all             Show all\n"
            "  -f, --filter filter   Filter\n"
            "  -n, --last int        Show n (default -1)\n"
            "      --word string     Text\n");
}

TEST(Ports, RangesAddressesAndProtocols) {
  const auto one = parse_publish("[::1]:80:80");
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].host_ip, "::1");
  EXPECT_EQ(one[0].host_port, "80");
  EXPECT_EQ(one[0].container, "80/tcp");
  EXPECT_EQ(parse_publish("8000-8002:80")[0].host_port, "8000-8002");
  EXPECT_EQ(parse_publish("127.0.0.1::80/udp")[0].container, "80/udp");
  EXPECT_EQ(parse_publish("1-65535").size(), 65535U);
  for (const char* bad : {"", ":", "::", "a", "80:80:80", "1:2:3:4:5x", "-1:80", "80/", "99999999999999999999", "80-70",
                          "[::1:80:80", "80:80/icmp", "published=1", "target=x", "target"})
    EXPECT_TRUE(std::string_view(bad) == "80/" || [&] {
      try {
        parse_publish(bad);
        return false;
      } catch (const Error&) {
        return true;
      }
    }()) << bad;
}

TEST(Csv, QuotesAsInRfc4180) {
  EXPECT_EQ(split_csv("a,\"b,c\",\"d\"\"e\","), (std::vector<std::string>{"a", "b,c", "d\"e", ""}));
  EXPECT_THROW(split_csv("a\"b"), Error);
  EXPECT_THROW(split_csv("\"a"), Error);
  EXPECT_THROW(split_csv("\"a\"b"), Error);
}

TEST(Paths, CleanedAsText) {
  EXPECT_EQ(clean_path("/a/./b//../c/"), "/a/c");
  EXPECT_EQ(clean_path("../a/.."), "..");
  EXPECT_EQ(clean_path("/../x"), "/x");
  EXPECT_EQ(clean_path(""), ".");
  EXPECT_EQ(base_name("/a/b/"), "b");
  EXPECT_EQ(directory_of("/a/b"), "/a");
  EXPECT_EQ(directory_of("b"), ".");
}

}  // namespace
}  // namespace bryo::cli

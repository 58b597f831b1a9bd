#include <gtest/gtest.h>

#include <limits>

#include "cli/format/escape.hpp"
#include "cli/format/json_text.hpp"
#include "cli/format/listing.hpp"
#include "cli/format/tabwriter.hpp"
#include "cli/format/units.hpp"

namespace bryo::cli {
namespace {

using namespace std::chrono_literals;

TEST(Units, SizesAreThoseOfDocker) {
  EXPECT_EQ(human_size(0), "0B");
  EXPECT_EQ(human_size(999), "999B");
  EXPECT_EQ(human_size(1000), "1kB");
  EXPECT_EQ(human_size(5244000), "5.244MB");
  EXPECT_EQ(human_size(1982256, 3), "1.98MB");
  EXPECT_EQ(human_size(123456789012, 3), "123GB");
  EXPECT_EQ(binary_size(67108864), "64MiB");
  EXPECT_EQ(binary_size(1610612736), "1.5GiB");
  EXPECT_EQ(binary_size(1000), "1000B");
}

TEST(Units, DurationsAreThoseOfDocker) {
  EXPECT_EQ(human_duration(0s), "Less than a second");
  EXPECT_EQ(human_duration(1500ms), "1 second");
  EXPECT_EQ(human_duration(59s), "59 seconds");
  EXPECT_EQ(human_duration(60s), "About a minute");
  EXPECT_EQ(human_duration(119s), "About a minute");
  EXPECT_EQ(human_duration(2min), "2 minutes");
  EXPECT_EQ(human_duration(59min), "59 minutes");
  EXPECT_EQ(human_duration(60min), "About an hour");
  EXPECT_EQ(human_duration(89min), "About an hour");
  EXPECT_EQ(human_duration(90min), "2 hours");
  EXPECT_EQ(human_duration(47h), "47 hours");
  EXPECT_EQ(human_duration(48h), "2 days");
  EXPECT_EQ(human_duration(24h * 13), "13 days");
  EXPECT_EQ(human_duration(24h * 14), "2 weeks");
  EXPECT_EQ(human_duration(24h * 60), "2 months");
  EXPECT_EQ(human_duration(24h * 729), "24 months");
  EXPECT_EQ(human_duration(24h * 730), "2 years");
  EXPECT_EQ(human_ago(0, 100), "N/A");
  EXPECT_EQ(human_ago(96, 100), "4 seconds ago");
  EXPECT_EQ(human_ago(1, 10'000'000'001), "292 years ago");
  EXPECT_EQ(human_ago(std::numeric_limits<std::int64_t>::max(), 100), "Less than a second ago");
}

TEST(Units, GoDurations) {
  EXPECT_EQ(go_duration(0s), "0s");
  EXPECT_EQ(go_duration(90s), "1m30s");
  EXPECT_EQ(go_duration(1500ms), "1.5s");
  EXPECT_EQ(go_duration(100ms), "100ms");
  EXPECT_EQ(go_duration(2h), "2h0m0s");
  EXPECT_EQ(go_duration(1500us), "1.5ms");
}

TEST(Units, BinarySizesAreRead) {
  EXPECT_EQ(parse_binary_size("64m"), 64 << 20);
  EXPECT_EQ(parse_binary_size("1.5GiB"), 1610612736);
  EXPECT_EQ(parse_binary_size("1024"), 1024);
  EXPECT_EQ(parse_binary_size("1 kb"), 1024);
  EXPECT_EQ(parse_binary_size("3B"), 3);
  for (const char* bad : {"", "x", "5x", "-1", "1mbb", "1e", "99999999999999999999", "k"})
    EXPECT_FALSE(parse_binary_size(bad)) << bad;
  EXPECT_EQ(binary_size_complaint("5x"), "invalid suffix: 'x'");
  EXPECT_EQ(binary_size_complaint(""), "invalid size: ''");
}

TEST(Escape, TheDaemonCannotDriveTheTerminal) {
  EXPECT_EQ(terminal_safe("a\x1b[2Jb\x07"), "a\\x1b[2Jb\\x07");
  EXPECT_EQ(terminal_safe("\xc2\x9b"
                          "2J"),
            "\\x9b2J");
  EXPECT_EQ(terminal_safe("é\t\n", true), "é\t\n");
  EXPECT_EQ(terminal_safe("é\t\n"), "é\\x09\\x0a");
}

TEST(Escape, EllipsisCountsCharacters) {
  EXPECT_EQ(ellipsis("abc", 3), "abc");
  EXPECT_EQ(ellipsis("abcd", 3), "ab…");
  EXPECT_EQ(ellipsis("ééééé", 3), "éé…");
  EXPECT_EQ(ellipsis("abc", 0), "");
}

TEST(Tabs, ColumnsAlignAcrossLines) {
  EXPECT_EQ(align_tabs("ID\tNAME\nabcdefghijkl\tx\n"), "ID             NAME\nabcdefghijkl   x\n");
  EXPECT_EQ(align_tabs("a\tb\tc\n"), "a         b         c\n");
  EXPECT_EQ(align_tabs("a\tb\nplain\nlonger than ten\tc\n"), "a         b\nplain\nlonger than ten   c\n");
  EXPECT_EQ(align_tabs("é\tb\n", {3, 1}), "é  b\n");
  EXPECT_EQ(align_tabs(""), "");
}

TEST(Json, NumbersAndTextAsGo) {
  EXPECT_EQ(compact_json(json::parse(R"({"a":1.5,"b":[1.0,1e30,"<\u0001\n"],"c":{},"d":null})")),
            R"({"a":1.5,"b":[1,1e+30,"<\u0001\n"],"c":{},"d":null})");
  EXPECT_EQ(indented_json(json::parse(R"([{"a":{},"b":[1]}])")),
            "[\n    {\n        \"a\": {},\n        \"b\": [\n            1\n        ]\n    }\n]");
}

const ListStyle kStyle = {"{{.ID}}\t{{.Name}}", "{{.ID}}", {{"ID", "THE ID"}, {"Name", "NAME"}}, "*formatter.X"};

std::vector<Row> rows() {
  return {{json::parse(R"({"Name":"one","ID":"1"})"), nullptr},
          {json::parse("{\"Name\":\"two\\u001b\",\"ID\":\"2\"}"), nullptr}};
}

TEST(Listing, TablesQuietTemplatesAndJson) {
  EXPECT_EQ(format_list(kStyle, "", false, rows()), "THE ID    NAME\n1         one\n2         two\\x1b\n");
  EXPECT_EQ(format_list(kStyle, "", true, rows()), "1\n2\n");
  EXPECT_EQ(format_list(kStyle, "table {{.Name}}\\t{{upper .ID}}", false, rows()),
            "NAME      THE ID\none       1\ntwo\\x1b   2\n");
  EXPECT_EQ(format_list(kStyle, "{{.ID}}-{{.Name}}", false, {rows()[0]}), "1-one\n");
  EXPECT_EQ(format_list(kStyle, "json", false, {rows()[0]}), "{\"ID\":\"1\",\"Name\":\"one\"}\n");
  EXPECT_EQ(format_list(kStyle, "", false, {}), "THE ID    NAME\n");
}

TEST(Listing, ErrorsNameTheType) {
  try {
    format_list(kStyle, "{{.Foo}}", false, rows());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "failed to execute template: template: :1:2: executing \"\" at <.Foo>: can't evaluate field Foo in type "
              "*formatter.X");
  }
}

}  // namespace
}  // namespace bryo::cli

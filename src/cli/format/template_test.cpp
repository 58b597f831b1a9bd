// The expected texts were taken from a stock docker client's `inspect --format` over the same container.
#include "cli/format/template.hpp"

#include <gtest/gtest.h>

namespace bryo::cli {
namespace {

const json::Value& container() {
  static const json::Value value = json::parse(R"({
    "Id": "bb9f3d63e8008c94b06950af6fb9316508d29a7b8bfe7d52854cc2f1a0c23c19",
    "Name": "/web", "Args": ["10000"],
    "State": {"Status": "running", "Running": true, "Pid": 23593, "ExitCode": 0},
    "HostConfig": {"Binds": ["vol1:/data", "/tmp:/host:ro"], "CapAdd": null, "PidsLimit": null, "NanoCpus": 5,
      "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "LogConfig": {"Type": "json-file", "Config": {}}},
    "Config": {"Env": ["X=y", "PATH=/bin"], "Labels": {"a": "b"}, "Entrypoint": null,
      "ExposedPorts": {"80/tcp": {}, "90/udp": {}}},
    "NetworkSettings": {"Ports": {"90/udp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}],
      "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}]},
      "Networks": {"bridge": {"IPAddress": "172.17.0.2"}}}
  })");
  return value;
}

std::string inspect(std::string_view source) {
  Template::Data data;
  data.root = &container();
  try {
    return Template::parse(source).render(data);
  } catch (const Error& error) {
    return "template parsing error: " + error.message();
  }
}

struct Case {
  const char* source;
  const char* expected;
};

class Inspect : public testing::TestWithParam<Case> {};

TEST_P(Inspect, RendersAsDocker) { EXPECT_EQ(inspect(GetParam().source), GetParam().expected) << GetParam().source; }

INSTANTIATE_TEST_SUITE_P(
    Values, Inspect,
    testing::Values(
        Case{"{{.Name}}", "/web"}, Case{"{{.ID}}", "bb9f3d63e8008c94b06950af6fb9316508d29a7b8bfe7d52854cc2f1a0c23c19"},
        Case{"{{.HostConfig.CapAdd}} {{.Config.Labels}} {{.HostConfig.PidsLimit}}", "[] map[a:b] <nil>"},
        Case{"{{.NetworkSettings.Ports}}", "map[80/tcp:[{0.0.0.0 8080} {:: 8080}] 90/udp:[{127.0.0.1 32768}]]"},
        Case{"{{.Config.Env}} {{.Args}}", "[X=y PATH=/bin] [10000]"}, Case{"{{.State.Health}}", "<nil>"},
        Case{"{{.HostConfig.RestartPolicy}}", "{no 0}"}, Case{"{{.HostConfig.LogConfig}}", "{json-file map[]}"},
        Case{"{{.State}}", "{running true 23593 0}"}, Case{"{{.Config.ExposedPorts}}", "map[80/tcp:{} 90/udp:{}]"},
        Case{"{{index .Config.Labels \"nope\"}}x", "x"}, Case{"{{.Config.Labels.nope}}", "<no value>"},
        Case{"{{.Config.Entrypoint}} {{json .Config.Entrypoint}}", "[] null"}, Case{"{{.HostConfig.NanoCPUs}}", "5"},
        Case{"{{json .Config.Env}}", R"(["X=y","PATH=/bin"])"},
        Case{"{{json .State}}", R"({"Status":"running","Running":true,"Pid":23593,"ExitCode":0})"},
        Case{"{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}", "8080"},
        Case{"{{$.Name}} {{with .State}}{{.Pid}} {{$.Name}}{{end}}", "/web 23593 /web"}));

INSTANTIATE_TEST_SUITE_P(
    Control, Inspect,
    testing::Values(
        Case{"{{range $k,$v := .NetworkSettings.Networks}}{{$k}}={{$v.IPAddress}}{{end}}", "bridge=172.17.0.2"},
        Case{"{{range $p, $c := .NetworkSettings.Ports}}{{$p}}->{{(index $c 0).HostPort}} {{end}}",
             "80/tcp->8080 90/udp->32768 "},
        Case{"{{range $i, $e := .Config.Env}}{{if $i}},{{end}}{{$e}}{{else}}none{{end}}", "X=y,PATH=/bin"},
        Case{"{{range .HostConfig.CapAdd}}x{{else}}none{{end}}", "none"},
        Case{"{{range .Args}}[{{.}}]{{end}}", "[10000]"}, Case{"{{if .State.Running}}up{{else}}down{{end}}", "up"},
        Case{"{{if eq .State.ExitCode 1}}a{{else if eq .State.ExitCode 0}}b{{else}}c{{end}}", "b"},
        Case{"{{with $x := .Id}}{{len $x}}{{else}}no{{end}}", "64"}, Case{"{{with .HostConfig.CapAdd}}x{{end}}", ""},
        Case{"{{range .Config.Env}}{{break}}{{end}}b", "b"},
        Case{"{{range .Config.Env}}{{if eq . \"X=y\"}}{{continue}}{{end}}{{.}}{{end}}", "PATH=/bin"},
        Case{"{{$x := 1}}{{$x = 2}}{{$x}}", "2"}, Case{"{{$x := 1}}{{if true}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21"},
        Case{"{{range 3}}{{.}}{{end}}", "012"}, Case{"{{define \"x\"}}X{{.}}{{end}}{{template \"x\" 5}}", "X5"},
        Case{"{{- \"trim\" -}}  x", "trimx"}, Case{"a  {{- 1 -}}  b", "a1b"}, Case{"{{/* c */}}c", "c"},
        Case{"{{.Name -}}\n", "/web"}, Case{"x{{\"y\"}}z", "xyz"}, Case{"no action", "no action"}, Case{"", ""}));

INSTANTIATE_TEST_SUITE_P(
    Functions, Inspect,
    testing::Values(
        Case{"{{printf \"%d|%s|%v|%5d|%t\" 3 3 3 3 3}}", "3|%!s(int=3)|3|    3|%!t(int=3)"},
        Case{"{{printf \"%-5s|%5s|%.2s|%q\" \"ab\" \"ab\" \"abc\" \"a\\\"b\"}}", "ab   |   ab|ab|\"a\\\"b\""},
        Case{"{{printf \"%.2f %08.3f %x %X %%\" 1.5 1.5 255 255}}", "1.50 0001.500 ff FF %"},
        Case{"{{printf \"%s\"}} {{printf \"a\" 1}}", "%!s(MISSING) a%!(EXTRA int=1)"},
        Case{"{{.State.Pid | printf \"%07d\"}}", "0023593"}, Case{"{{printf \"%q\" .Args}}", "[\"10000\"]"},
        Case{"{{title \"abc def\"}} {{upper \"x\"}} {{lower \"X\"}} {{pad \"x\" 2 3}}|{{truncate \"abcdef\" 3}}",
             "Abc Def X x   x   |abc"},
        Case{"{{join .Config.Env \",\"}} {{split \"a:b\" \":\"}}", "X=y,PATH=/bin [a b]"},
        Case{"{{println 1 \"a\" 2}}{{print 1 2 \"a\" \"b\" 3}}", "1 a 2\n1 2ab3"},
        Case{"{{html \"<a>\"}} {{urlquery \"a b\"}} {{js \"it's\"}}", "&lt;a&gt; a+b it\\'s"},
        Case{"{{slice .Id 0 12}} {{slice .Args 1}}", "bb9f3d63e800 []"}, Case{"{{index .Config.Env 0 1}}", "61"},
        Case{"{{not true}} {{and 1 0}} {{or 0 \"x\"}}", "false 0 x"}, Case{"{{and 0 (index .Args 9)}}", "0"},
        Case{"{{eq .Name \"x\" \"/web\"}} {{ne 1 2}} {{gt 2 1}} {{ge \"b\" \"a\"}} {{le 1.5 1.5}} {{lt 1 2}}",
             "true true true true true true"},
        Case{"{{len .Args}} {{len \"abc\"}} {{len .Config.Labels}}", "1 3 1"},
        Case{"{{1.5}} {{1e3}} {{0x10}} {{'a'}} {{-3}}", "1.5 1000 16 97 -3"},
        Case{"{{\"a\" | print \"b\" | len}}", "2"}, Case{"{{`raw\\n`}}", "raw\\n"}, Case{"{{\"\\u00e9\\n\"}}", "é\n"},
        Case{"{{(printf \"%s\" .Name) | upper}}", "/WEB"}));

INSTANTIATE_TEST_SUITE_P(
    Errors, Inspect,
    testing::Values(
        Case{"{{.Foo}}",
             "template parsing error: template: :1:2: executing \"\" at <.Foo>: map has no entry for key \"Foo\""},
        Case{"{{.Id.x}}",
             "template parsing error: template: :1:5: executing \"\" at <.Id.x>: can't evaluate field x in type "
             "interface {}"},
        Case{"{{index .Config.Env 5}}",
             "template parsing error: template: :1:2: executing \"\" at <index .Config.Env 5>: error calling index: "
             "index out of range: 5"},
        Case{"{{if}}", "template parsing error: template: :1: missing value for if"},
        Case{"{{range}}", "template parsing error: template: :1: missing value for range"},
        Case{"{{.x", "template parsing error: template: :1: unclosed action"},
        Case{"{{foo .}}", "template parsing error: template: :1: function \"foo\" not defined"},
        Case{"{{.Config.Env | foo}}", "template parsing error: template: :1: function \"foo\" not defined"},
        Case{"{{\"x}}", "template parsing error: template: :1: unterminated quoted string"},
        Case{"{{end}}", "template parsing error: template: :1: unexpected {{end}}"},
        Case{"{{if .Id}}", "template parsing error: template: :1: unexpected EOF"},
        Case{"{{lt 1 \"a\"}}",
             "template parsing error: template: :1:2: executing \"\" at <lt 1 \"a\">: error calling lt: incompatible "
             "types for comparison"},
        Case{"{{nil}}", "template parsing error: template: :1:2: executing \"\" at <nil>: nil is not a command"},
        Case{"{{len 3}}",
             "template parsing error: template: :1:2: executing \"\" at <len 3>: error calling len: len of type int"},
        Case{"{{and}}",
             "template parsing error: template: :1:2: executing \"\" at <and>: wrong number of args for and: want at "
             "least 1 got 0"},
        Case{"{{len}}",
             "template parsing error: template: :1:2: executing \"\" at <len>: wrong number of args for len: want 1 "
             "got 0"},
        Case{"{{.Name \"x\"}}",
             "template parsing error: template: :1:2: executing \"\" at <.Name>: Name is not a method but has "
             "arguments"},
        Case{"{{.NetworkSettings.Ports.x}}",
             "template parsing error: template: :1:18: executing \"\" at <.NetworkSettings.Ports.x>: map has no entry "
             "for key \"x\""},
        Case{"{{.State.Health.Status}}",
             "template parsing error: template: :1:8: executing \"\" at <.State.Health.Status>: map has no entry for "
             "key \"Health\""}));

TEST(Template, RecursionIsBounded) {
  EXPECT_NE(inspect("{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}").find("maximum template depth"),
            std::string::npos);
  EXPECT_NE(inspect("{{" + std::string(10'000, '(') + "}}").find("too deeply nested"), std::string::npos);
  std::string nested;
  for (int i = 0; i < 10'000; ++i) nested += "{{if true}}";
  EXPECT_NE(inspect(nested).find("too deeply nested"), std::string::npos);
}

TEST(Template, OutputIsBounded) {
  EXPECT_NE(inspect("{{range 100000}}{{range 100000}}x{{end}}{{end}}").find("too large"), std::string::npos);
}

TEST(Template, MethodsOfARowTakeArguments) {
  const json::Value row = json::parse(R"({"ID": "1"})");
  Template::Data data;
  data.root = &row;
  data.type = "*formatter.ContainerContext";
  data.method = [](std::string_view name, std::span<const json::Value* const> arguments) -> std::optional<json::Value> {
    if (name != "Label") return std::nullopt;
    return json::Value(std::string("label ") + arguments[0]->get_string().c_str());
  };
  EXPECT_EQ(Template::parse("{{.ID}} {{.Label \"x\"}}").render(data), "1 label x");
  try {
    Template::parse("{{.Foo}}").render(data);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "template: :1:2: executing \"\" at <.Foo>: can't evaluate field Foo in type *formatter.ContainerContext");
  }
}

}  // namespace
}  // namespace bryo::cli

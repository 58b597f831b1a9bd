#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/error.hpp"
#include "cli/auth/base64.hpp"
#include "cli/auth/credential_helper.hpp"
#include "cli/auth/reference.hpp"
#include "cli/auth/registry_auth.hpp"
#include "cli/options/value_files.hpp"

namespace bryo::cli {
namespace {

TEST(Reference, ShortNamesBelongToTheHub) {
  const Reference one = Reference::parse("busybox");
  EXPECT_EQ(one.str(), "docker.io/library/busybox");
  EXPECT_EQ(one.familiar(), "busybox");
  EXPECT_TRUE(one.name_only());
  EXPECT_EQ(Reference::parse("me/app:1").str(), "docker.io/me/app:1");
  EXPECT_EQ(Reference::parse("docker.io/library/x:y").familiar(), "x:y");
  EXPECT_EQ(Reference::parse("index.docker.io/x").familiar(), "x");
}

TEST(Reference, RegistriesAreRecognised) {
  EXPECT_EQ(Reference::parse("127.0.0.1:5000/hello:userns").domain, "127.0.0.1:5000");
  EXPECT_EQ(Reference::parse("localhost/a/b").path, "a/b");
  EXPECT_EQ(Reference::parse("[::1]:5000/x").domain, "[::1]:5000");
  const std::string digest = "sha256:" + std::string(64, 'a');
  const Reference pinned = Reference::parse("example.org/a:t@" + digest);
  EXPECT_EQ(pinned.tag, "t");
  EXPECT_EQ(pinned.digest, digest);
  EXPECT_EQ(pinned.familiar(), "example.org/a:t@" + digest);
}

std::string complaint(std::string_view text) {
  try {
    Reference::parse(text);
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

TEST(Reference, NonsenseIsRefusedInDockersWords) {
  for (const char* bad : {"", "busy box", "a//b", "a/", "/a", "a:", "a:.x", "-a", "a-", "a..b", "a___b", "a@sha256:12",
                          "a@b", "http://x/y", "../x", "a/../b", "a\nb", "x:t:t", "exa_mple.org:80/a"})
    EXPECT_EQ(complaint(bad), "invalid reference format") << bad;
  EXPECT_EQ(complaint("BusyBox"), "invalid reference format: repository name (library/BusyBox) must be lowercase");
  EXPECT_NE(complaint(std::string(64, 'a')).find("64-byte hexadecimal"), std::string::npos);
  EXPECT_NE(complaint("x/" + std::string(300, 'a')).find("255"), std::string::npos);
}

TEST(Base64, BothAlphabetsAndPadding) {
  EXPECT_EQ(encode_base64(""), "");
  EXPECT_EQ(encode_base64("f"), "Zg==");
  EXPECT_EQ(encode_base64("fo"), "Zm8=");
  EXPECT_EQ(encode_base64("foo"), "Zm9v");
  EXPECT_EQ(encode_base64("\xfb\xff"), "+/8=");
  EXPECT_EQ(encode_base64("\xfb\xff", true), "-_8=");
  EXPECT_EQ(decode_base64("Zm9vYg=="), "foob");
  EXPECT_EQ(decode_base64("Zm9vYg"), "foob");
  EXPECT_FALSE(decode_base64("Z"));
  EXPECT_FALSE(decode_base64("Zm9v!"));
}

class Config : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "bryo-config-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    std::ofstream(directory_ + "/" + name) << text;
    ::chmod((directory_ + "/" + name).c_str(), mode);
  }
  std::string directory_;
};

TEST_F(Config, LoginsAreKeptPrivatelyAndOtherFieldsStay) {
  write("config.json", R"({"psFormat":"table    {{.ID}}","unknown":{"x":[1]}})", 0644);
  ConfigFile config = ConfigFile::load(directory_);
  EXPECT_EQ(config.text("psFormat"), "table    {{.ID}}");
  config.store("127.0.0.1:5000", {"user", "pass:word", ""});
  struct stat status {};
  ASSERT_EQ(::stat((directory_ + "/config.json").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  const std::string text = read_small_file(directory_ + "/config.json");
  EXPECT_NE(text.find("\"unknown\""), std::string::npos);
  EXPECT_EQ(text.find("pass:word"), std::string::npos);
  ConfigFile again = ConfigFile::load(directory_);
  EXPECT_EQ(again.text("psFormat"), "table    {{.ID}}");
  EXPECT_EQ(again.credentials("127.0.0.1:5000").password, "pass:word");
  EXPECT_TRUE(again.erase("127.0.0.1:5000"));
  EXPECT_FALSE(again.erase("127.0.0.1:5000"));
  EXPECT_TRUE(ConfigFile::load(directory_).credentials("127.0.0.1:5000").empty());
}

TEST_F(Config, CredentialsAreBoundToTheirRegistry) {
  write("config.json", R"({"auths":{"https://a.example/v2/":{"auth":"dTpw"},"b.example:5000":{"auth":"eDp5"},
                           "https://index.docker.io/v1/":{"auth":"aDpo"}}})");
  const ConfigFile config = ConfigFile::load(directory_);
  EXPECT_EQ(config.credentials("a.example").username, "u");
  EXPECT_EQ(config.credentials(registry_key(Reference::parse("busybox"))).username, "h");
  for (const char* other :
       {"b.example", "b.example:5001", "a.example:443", "evil-a.example", "a.example.evil", "xa.example"})
    EXPECT_TRUE(config.credentials(other).empty()) << other;
}

TEST_F(Config, HelpersAreAskedForOneRegistryOnly) {
  write("docker-credential-fake",
        "#!/bin/sh\nread server\necho \"$1 $server\" >> " + directory_ +
            "/log\n[ \"$server\" = good.example ] || { echo 'credentials not found in native keychain'; exit 1; }\n"
            "echo '{\"ServerURL\":\"x\",\"Username\":\"<token>\",\"Secret\":\"tok\"}'\n",
        0755);
  write("config.json", R"({"credHelpers":{"good.example":"fake","bad.example":"fake","odd.example":"../fake"}})");
  const char* path = std::getenv("PATH");
  const std::string saved = path == nullptr ? "" : path;
  ::setenv("PATH", (directory_ + ":" + saved).c_str(), 1);
  const ConfigFile config = ConfigFile::load(directory_);
  EXPECT_EQ(config.credentials("good.example").identity_token, "tok");
  EXPECT_TRUE(config.credentials("bad.example").empty());
  EXPECT_TRUE(config.credentials("other.example").empty());
  EXPECT_THROW(config.credentials("odd.example"), Error);
  ::setenv("PATH", saved.c_str(), 1);
  EXPECT_EQ(read_small_file(directory_ + "/log"), "get good.example\nget bad.example\n");
}

TEST_F(Config, BrokenFilesAreNamed) {
  write("config.json", "{");
  EXPECT_THROW(ConfigFile::load(directory_), Error);
  EXPECT_TRUE(ConfigFile::load(directory_ + "/none").credentials("x").empty());
}

TEST(RegistryAuth, HeaderForTheDaemon) {
  EXPECT_EQ(registry_auth_header({}, "x"), "e30=");
  EXPECT_EQ(*decode_base64(registry_auth_header({"u", "p", ""}, "h:1")),
            R"({"username":"u","password":"p","serveraddress":"h:1"})");
  EXPECT_EQ(registry_key("docker.io"), kDockerHubServer);
  EXPECT_EQ(registry_key("http://127.0.0.1:5000/v2"), "127.0.0.1:5000");
}

}  // namespace
}  // namespace bryo::cli

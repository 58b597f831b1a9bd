// Files of an installation on a directory of the test's own; where things go; what units say.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "cli/files/disk.hpp"
#include "cli/setup/contents.hpp"
#include "cli/setup/installation.hpp"
#include "cli/setup/places.hpp"
#include "cli/setup/run.hpp"

namespace bryo::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

class InstallationTest : public ::testing::Test {
 protected:
  InstallationTest() {
    char name[] = "/tmp/bryo-setup-XXXXXX";
    root_ = ::mkdtemp(name);
  }
  ~InstallationTest() override { fs::remove_all(root_); }
  std::string path(const std::string& name) const { return root_ + "/" + name; }
  void write(const std::string& name, const std::string& text) {
    fs::create_directories(fs::path(path(name)).parent_path());
    std::ofstream(path(name)) << text;
  }
  std::string text(const std::string& name) const { return read_whole_file(path(name)).value_or("(none)"); }
  Installation installation() const { return Installation(path("state/setup.json")); }
  std::vector<WantedFile> wanted(const std::string& program = "one") const {
    return {{path("new/bin/tool"), program, 0755}, {path("old/unit"), "unit", 0644}};
  }
  std::string root_;
};

TEST_F(InstallationTest, MakesFilesAndTakesThemBackWithTheirDirectories) {
  fs::create_directory(path("old"));
  EXPECT_THAT(installation().install(wanted()), IsEmpty());
  EXPECT_EQ(text("new/bin/tool"), "one");
  struct stat info {};
  ASSERT_EQ(::stat(path("new/bin/tool").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0755U);
  EXPECT_TRUE(installation().exists());
  EXPECT_THAT(installation().uninstall(), IsEmpty());
  EXPECT_FALSE(fs::exists(path("new")));
  EXPECT_FALSE(fs::exists(path("state")));
  EXPECT_TRUE(fs::exists(path("old")));  // was there before
  EXPECT_TRUE(fs::is_empty(path("old")));
}

TEST_F(InstallationTest, AFileOfSomebodyElseStopsEverything) {
  write("old/unit", "mine");
  EXPECT_THAT([&] { installation().install(wanted()); }, ThrowsMessage<Error>(HasSubstr(path("old/unit"))));
  EXPECT_FALSE(fs::exists(path("new")));
  EXPECT_EQ(text("old/unit"), "mine");
  EXPECT_FALSE(installation().exists());
}

TEST_F(InstallationTest, ALinkOfSomebodyElseIsAFileOfTheirs) {
  fs::create_directory(path("old"));
  fs::create_symlink("/nowhere", path("old/unit"));
  EXPECT_THAT([&] { installation().install(wanted()); }, ThrowsMessage<Error>(HasSubstr(path("old/unit"))));
  EXPECT_TRUE(fs::is_symlink(path("old/unit")));
}

TEST_F(InstallationTest, ANewVersionReplacesOurFiles) {
  installation().install(wanted());
  EXPECT_THAT(installation().install(wanted("two")), IsEmpty());
  EXPECT_EQ(text("new/bin/tool"), "two");
  EXPECT_THAT(installation().uninstall(), IsEmpty());
  EXPECT_FALSE(fs::exists(path("new")));
}

TEST_F(InstallationTest, WhatTheUserChangedStaysThroughAnUpgradeAndTheEnd) {
  installation().install(wanted());
  write("new/bin/tool", "changed");
  EXPECT_THAT(installation().install(wanted("two")), ElementsAre(path("new/bin/tool")));
  EXPECT_THAT(installation().uninstall(), ElementsAre(path("new/bin/tool")));
  EXPECT_EQ(text("new/bin/tool"), "changed");
}

TEST_F(InstallationTest, FilesThatAreNotWantedAnyMoreGo) {
  installation().install(wanted());
  installation().install({{path("old/unit"), "unit", 0644}});
  EXPECT_FALSE(fs::exists(path("new/bin/tool")));
  EXPECT_EQ(text("old/unit"), "unit");
}

TEST_F(InstallationTest, RollingBackTakesOnlyWhatIsNew) {
  installation().install({{path("old/unit"), "unit", 0644}});
  Installation second = installation();
  second.install(wanted());
  second.roll_back();
  EXPECT_FALSE(fs::exists(path("new/bin/tool")));
  EXPECT_EQ(text("old/unit"), "unit");
  EXPECT_TRUE(installation().exists());
}

TEST_F(InstallationTest, RollingBackTheFirstOneLeavesNothing) {
  Installation first = installation();
  first.install(wanted());
  first.roll_back();
  EXPECT_TRUE(fs::is_empty(root_));
}

TEST_F(InstallationTest, AfterACrashBetweenManifestAndFilesUninstallFinds) {
  installation().install(wanted());
  fs::remove(path("old/unit"));  // was never written
  EXPECT_THAT(installation().uninstall(), IsEmpty());
  EXPECT_TRUE(fs::is_empty(root_)) << "directories of ours that are empty go";
}

TEST_F(InstallationTest, ABrokenManifestIsNamed) {
  write("state/setup.json", "{");
  EXPECT_THAT([&] { installation(); }, ThrowsMessage<Error>(HasSubstr(path("state/setup.json"))));
}

TEST(Places, OfAUser) {
  const std::map<std::string, std::string> set{{"HOME", "/home/a"}, {"XDG_RUNTIME_DIR", "/run/user/7"}};
  const auto places = user_places(7, "", [&](const char* name) {
    const auto found = set.find(name);
    return found == set.end() ? std::string() : found->second;
  });
  EXPECT_EQ(places.programs, "/home/a/.local/bin");
  EXPECT_EQ(places.units, "/home/a/.config/systemd/user");
  EXPECT_EQ(places.manifest, "/home/a/.local/state/bryo/setup.json");
  EXPECT_EQ(places.data_root, "/home/a/.local/share/bryo");
  EXPECT_EQ(places.socket(), "/run/user/7/bryo/bryo.sock");
  EXPECT_EQ(places.docker, "/home/a/.docker");
}

TEST(Places, FollowTheDesktopSpecification) {
  const std::map<std::string, std::string> set{{"HOME", "/home/a"},
                                               {"XDG_CONFIG_HOME", "/c"},
                                               {"XDG_DATA_HOME", "/d"},
                                               {"XDG_STATE_HOME", "/s"},
                                               {"DOCKER_CONFIG", "/k"}};
  const auto places = user_places(7, "/p/", [&](const char* name) {
    const auto found = set.find(name);
    return found == set.end() ? std::string() : found->second;
  });
  EXPECT_EQ(places.prefix, "/p");
  EXPECT_EQ(places.units, "/c/systemd/user");
  EXPECT_EQ(places.manifest, "/s/bryo/setup.json");
  EXPECT_EQ(places.data_root, "/d/bryo");
  EXPECT_EQ(places.docker, "/k");
  EXPECT_EQ(places.exec_root, "/run/user/7/bryo");
}

TEST(Places, WantAHomeAndAnAbsolutePrefix) {
  const auto nothing = [](const char*) { return std::string(); };
  EXPECT_THAT([&] { user_places(7, "", nothing); }, ThrowsMessage<Error>(HasSubstr("HOME is not set")));
  EXPECT_THAT([&] { system_places("here"); }, ThrowsMessage<Error>(HasSubstr("absolute")));
}

TEST(Units, StartTheInstalledProgram) {
  SetupPlaces places = system_places("/opt/b");
  EXPECT_THAT(unit_files(places).front().content, HasSubstr("\nExecStart=/opt/b/bin/bryod -H fd:// $BRYO_OPTS\n"));
  places.system = false;
  EXPECT_THAT(unit_files(places).front().content, HasSubstr("\nExecStart=/opt/b/bin/bryod $BRYO_OPTS\n"));
}

TEST(Units, WordsAreQuotedForSystemd) {
  EXPECT_EQ(unit_word("/home/a.b/.local/bin/bryod"), "/home/a.b/.local/bin/bryod");
  EXPECT_EQ(unit_word("/my programs/50%/\"x\"$y"), "\"/my programs/50%%/\\\"x\\\"$$y\"");
}

TEST(Run, GivesStatusAndOutput) {
  const Ran ran = run_quietly({"sh", "-c", "echo out; echo err >&2; exit 3"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_THAT(ran.output, HasSubstr("out\n"));
  EXPECT_THAT(ran.output, HasSubstr("err\n"));
  EXPECT_EQ(run_quietly({"/no/such/program"}).status, 127);
  EXPECT_EQ(run_quietly({"sh", "-c", "kill -9 $$"}).status, 137);
}

}  // namespace
}  // namespace bryo::cli

// Classes of service on directories that look like them: few machines have the hardware.
#include "kernel/resctrl.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.hpp"

namespace bryo::kernel {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

namespace fs = std::filesystem;

class ResctrlTest : public ::testing::Test {
 protected:
  ResctrlTest() {
    char name[] = "/tmp/bryo-resctrl-XXXXXX";
    root_ = ::mkdtemp(name);
    fs::create_directories(root_ + "/there/mon_groups/box");
    for (const char* file : {"there/tasks", "there/mon_groups/box/tasks"}) std::ofstream(root_ + "/" + file) << "";
    std::ofstream(root_ + "/there/schemata") << "    MB:0=100\n    L3:0=7ff;1=7ff\n";
  }
  ~ResctrlTest() override { fs::remove_all(root_); }
  std::string text(const std::string& name) const {
    std::ifstream file(root_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string root_;
};

TEST_F(ResctrlTest, AClassThatIsThereIsJoined) {
  enter_resctrl({root_ + "/there", true, {"L3:0=7ff;1=7ff", "MB:0=100"}, "box"}, 42);
  EXPECT_EQ(text("there/tasks"), "42");
  EXPECT_EQ(text("there/mon_groups/box/tasks"), "42");
  EXPECT_EQ(text("there/schemata"), "    MB:0=100\n    L3:0=7ff;1=7ff\n") << "not ours to change";
}

TEST_F(ResctrlTest, AnotherSchemaThanIsThereIsAConflict) {
  EXPECT_THAT(
      [&] {
        enter_resctrl({root_ + "/there", true, {"L3:0=1"}, ""}, 42);
      },
      ThrowsMessage<Error>(HasSubstr("another schema")));
  EXPECT_EQ(text("there/tasks"), "");
  EXPECT_TRUE(fs::exists(root_ + "/there"));
}

TEST_F(ResctrlTest, AClassThatIsNotThere) {
  EXPECT_THAT(
      [&] {
        enter_resctrl({root_ + "/new", false, {}, ""}, 42);
      },
      ThrowsMessage<Error>(HasSubstr("linux.intelRdt.closID")));
  // An ordinary directory gets no files by itself, so filling it fails: it must not stay.
  EXPECT_THROW(enter_resctrl({root_ + "/new", true, {"L3:0=1"}, ""}, 42), Error);
  EXPECT_FALSE(fs::exists(root_ + "/new"));
  remove_resctrl(root_ + "/new");
}

}  // namespace
}  // namespace bryo::kernel

// NssAccounts::create_system_user and --userns-remap=default as they are, on a private copy of /etc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "ids/remap.hpp"

namespace bryo::ids {
namespace {

namespace fs = std::filesystem;

std::string read(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// In a child with a mount namespace of its own: /etc is `copy`. Never returns.
[[noreturn]] void remap_default_in(const std::string& copy, const std::string& report) {
  std::ofstream out(report);
  try {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount(copy.c_str(), "/etc", nullptr, MS_BIND, nullptr) != 0) {
      out << "skip: no private /etc";
    } else {
      NssAccounts accounts;
      for (int i = 0; i < 2; ++i) {
        const Remap remap = resolve_remap(RemapSpec::parse("default"), accounts, SubordinateIds());
        out << remap.user << " " << remap.maps.directory_name() << "\n";
      }
    }
  } catch (const Error& error) {
    out << error.message();
  }
  out.close();
  ::_exit(0);
}

TEST(NssAccounts, DefaultCreatesUserAndRangesOnARealHost) {
  if (::geteuid() != 0) GTEST_SKIP() << "users are made by root";
  if (::access("/usr/sbin/useradd", X_OK) != 0) GTEST_SKIP() << "useradd is not installed";
  std::string pattern = "/tmp/bryo-etc-XXXXXX";
  const std::string directory = ::mkdtemp(pattern.data());
  const std::string copy = directory + "/etc";
  fs::create_directories(copy);
  for (const char* name : {"passwd", "group", "shadow", "gshadow", "login.defs", "nsswitch.conf", "default", "pam.d"})
    if (fs::exists(std::string("/etc/") + name))
      fs::copy(std::string("/etc/") + name, copy + "/" + name, fs::copy_options::recursive);
  std::ofstream(copy + "/subuid") << "alice:100000:65536\n";
  std::ofstream(copy + "/subgid") << "alice:100000:65536\n";
  const bool was_there = read(copy + "/passwd").find("\ndockremap:") != std::string::npos;
  const pid_t child = ::fork();
  if (child == 0) remap_default_in(copy, directory + "/report");
  ::waitpid(child, nullptr, 0);
  const std::string report = read(directory + "/report");
  const std::string passwd = read(copy + "/passwd");
  const std::string subuid = read(copy + "/subuid");
  fs::remove_all(directory);
  if (report.starts_with("skip: ")) GTEST_SKIP() << report;
  EXPECT_EQ(report, "dockremap 165536.165536\ndockremap 165536.165536\n");
  EXPECT_EQ(subuid, "alice:100000:65536\ndockremap:165536:65536\n");
  EXPECT_THAT(passwd, testing::HasSubstr("\ndockremap:x:"));
  if (!was_there) {
    EXPECT_THAT(passwd, testing::HasSubstr(":/nonexistent:/bin/false\n"));
  }
}

}  // namespace
}  // namespace bryo::ids

// Containers for tests: a root file system from the host's static busybox, a spec to change, a launch whose output is
// kept. Needs root.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "kernel/capabilities.hpp"
#include "runtime/container.hpp"
#include "runtime/default_spec.hpp"
#include "runtime/make_plan.hpp"
#include "runtime/seccomp_profile.hpp"

namespace bryo::runtime::testing {

// A directory that is removed with everything in it at the end.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    char name[] = "/tmp/bryo-runtime-XXXXXX";
    if (::mkdtemp(name) == nullptr) fail_errno("mkdtemp");
    path_ = name;
    ::chmod(name, 0755);
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline void write_text(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
inline std::string read_text(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline const HostFacts& facts() {
  static const HostFacts kFacts = gather_host_facts();
  return kFacts;
}

// Programs of ours that are static, so that they run inside a busybox root; sanitized ones are not.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kStaticPrograms = false;
#else
inline constexpr bool kStaticPrograms = true;
#endif

inline bool can_launch() { return ::geteuid() == 0 && ::access("/usr/bin/busybox", X_OK) == 0; }

// As an image would have it, owned by root.
inline void make_busybox_root(const std::string& root) {
  namespace fs = std::filesystem;
  for (const char* name : {"bin", "etc", "proc", "sys", "dev", "tmp", "root", "sbin"})
    fs::create_directories(root + "/" + name);
  ::chmod((root + "/tmp").c_str(), 01777);
  fs::copy_file("/usr/bin/busybox", root + "/bin/busybox");
  for (const char* name : {"sh",   "ls",       "cat",  "id",       "mount",  "ps",    "sleep", "true",  "false", "echo",
                           "stat", "readlink", "env",  "hostname", "grep",   "touch", "mkdir", "chmod", "chown", "pwd",
                           "tty",  "kill",     "test", "umount",   "ulimit", "mknod", "dd",    "ln",    "rm",    "nice",
                           "head", "tail",     "sort", "wc",       "ip",     "stty",  "su"})
    fs::create_symlink("busybox", root + "/bin/" + name);
  write_text(root + "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n");
}

struct Result {
  int status = -1;  // exit status, or 128 + signal
  std::string output;
  std::vector<std::string> warnings;
};

inline int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

class Pipe {
 public:
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail_errno("pipe");
    read_.reset(ends[0]);
    write_.reset(ends[1]);
  }
  int writer() const { return write_.get(); }
  void close_writer() { write_.reset(); }
  std::string read_line() {
    std::string text;
    char c = 0;
    while (::read(read_.get(), &c, 1) == 1 && c != '\n') text += c;
    return text;
  }
  std::string drain() {
    close_writer();
    std::string text;
    char block[4096];
    ssize_t size = 0;
    while ((size = ::read(read_.get(), block, sizeof block)) > 0) text.append(block, static_cast<std::size_t>(size));
    return text;
  }

 private:
  UniqueFd read_;
  UniqueFd write_;
};

// The kernel's default mounts without the cgroup one, a writable root, `sh -c script`.
inline oci::RuntimeSpec shell_spec(const std::string& script) {
  oci::RuntimeSpec spec = default_spec();
  spec.root->readonly = false;
  spec.process->args = {"sh", "-c", script};
  std::erase_if(spec.mounts, [](const oci::Mount& mount) { return mount.type == "cgroup"; });
  return spec;
}

inline constexpr std::uint32_t kMapBase = 300000;

inline void map_ids(oci::RuntimeSpec& spec, std::uint32_t first = kMapBase, std::uint32_t size = 65536) {
  spec.linux_->namespaces.push_back({"user", ""});
  spec.linux_->uid_mappings = {{0, first, size}};
  spec.linux_->gid_mappings = {{0, first, size}};
}

inline RootfsSource directory(const std::string& path) {
  RootfsSource source;
  source.path = path;
  return source;
}

// A launched container with its output; tests that look at it while it runs.
class Launched {
 public:
  Launched(const oci::RuntimeSpec& spec, const RootfsSource& root, const PlanOptions& options = {})
      : plan_(make_plan(spec, facts(), root, options)),
        container_(Container::begin(plan_, {{-1, pipe_.writer(), pipe_.writer()}, {}, {}, {}, -1})) {
    container_.wait_created();
  }
  ~Launched() {
    if (container_.pid() > 0 && !waited_) {
      ::kill(container_.pid(), SIGKILL);
      wait_for(container_.pid());
    }
  }
  Launched(const Launched&) = delete;
  Launched& operator=(const Launched&) = delete;

  Container& container() { return container_; }
  const LaunchPlan& plan() const { return plan_; }
  void start() {
    try {
      container_.start();
    } catch (...) {
      waited_ = true;
      throw;
    }
  }
  Result finish() {
    Result result;
    result.output = pipe_.drain();
    result.status = wait_for(container_.pid());
    waited_ = true;
    result.warnings = container_.warnings();
    return result;
  }

 private:
  LaunchPlan plan_;
  Pipe pipe_;
  Container container_;
  bool waited_ = false;
};

inline Result run(const oci::RuntimeSpec& spec, const RootfsSource& root, const PlanOptions& options = {}) {
  Launched launched(spec, root, options);
  launched.start();
  return launched.finish();
}

// What a launch that must not succeed says.
inline std::string failure_of(const oci::RuntimeSpec& spec, const RootfsSource& root, int* exit_code = nullptr) {
  try {
    const Result result = run(spec, root);
    return "no failure, but: " + result.output;
  } catch (const Error& error) {
    if (exit_code != nullptr) *exit_code = error.exit_code();
    return error.message();
  }
}

// One more process in it, with its output.
inline Result exec(Launched& launched, const oci::RuntimeSpec& spec, const oci::Process& process) {
  Pipe pipe;
  const ExecPlan plan = make_exec_plan(process, spec, facts());
  ExecProcess started =
      ExecProcess::start(plan, launched.container().pidfd(), {{-1, pipe.writer(), pipe.writer()}, {}, {}});
  Result result;
  result.output = pipe.drain();
  result.status = wait_for(started.pid());
  result.warnings = started.warnings();
  return result;
}

class LaunchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_launch()) GTEST_SKIP() << "needs root and /usr/bin/busybox";
    root_ = scratch_ / "rootfs";
    make_busybox_root(root_);
  }
  ScratchDirectory scratch_;
  std::string root_;
};

}  // namespace bryo::runtime::testing

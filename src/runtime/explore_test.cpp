// The step explorer (design/security.md, T1): bryo-oci is stopped before each of its path system calls in turn, a link
// to a directory outside the root is put in the place of a directory of the image's, and it goes on. Complete where
// a race that waits for luck is not: every stop, with every directory that a step of the plan goes through.
//
// Outside, nothing may be opened, read or changed, and nothing of it may be seen inside. Links of four kinds take
// turns (an absolute path, one that climbs, one through a magic link of procfs); BRYO_EXPLORE=all tries every kind at
// every stop.
#include <gmock/gmock.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cstring>

#include "oci/runtime_spec_json.hpp"
#include "runtime/test_support.hpp"

namespace bryo::runtime::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

namespace fs = std::filesystem;

constexpr const char* kSecret = "of the host";

// --- stops ---

constexpr std::uint32_t kPathCalls[] = {
    SYS_open,      SYS_openat,    SYS_openat2,    SYS_stat,      SYS_lstat,        SYS_newfstatat, SYS_statx,
    SYS_mkdir,     SYS_mkdirat,   SYS_mknodat,    SYS_symlinkat, SYS_readlink,     SYS_readlinkat, SYS_access,
    SYS_faccessat, SYS_chdir,     SYS_fchdir,     SYS_chmod,     SYS_fchmodat,     SYS_fchownat,   SYS_unlinkat,
    SYS_rename,    SYS_renameat2, SYS_mount,      SYS_umount2,   SYS_pivot_root,   SYS_open_tree,  SYS_move_mount,
    SYS_fsmount,   SYS_execve,    SYS_faccessat2, SYS_getcwd,    SYS_mount_setattr};

// SECCOMP_RET_USER_NOTIF for path calls: the kernel holds the caller until we let it go on.
std::vector<struct sock_filter> stop_at_path_calls() {
  std::vector<struct sock_filter> out = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
  for (const std::uint32_t number : kPathCalls) {
    out.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    out.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
  }
  out.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  return out;
}

[[noreturn]] void become(const std::vector<std::string>& words, int output, int link) {
  const std::vector<struct sock_filter> program = stop_at_path_calls();
  struct sock_fprog filter = {static_cast<unsigned short>(program.size()),
                              const_cast<struct sock_filter*>(program.data())};
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::dup2(output, 1);
  ::dup2(output, 2);
  const long listener = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
  if (listener < 0 || ::write(link, &listener, sizeof listener) != sizeof listener) ::_exit(120);
  // Held by the filter until somebody listens, which is after the descriptor was taken.
  ::execv(arguments[0], arguments.data());
  ::_exit(121);
}

struct Explored {
  int stops = 0;
  int status = -1;
  std::string output;
};

void let_go_on(int listener, const std::function<void(int)>& at_stop, int& stops) {
  struct seccomp_notif request = {};
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) return;
  at_stop(stops++);
  struct seccomp_notif_resp response = {};
  response.id = request.id;
  response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

// Runs the command to its end, and everything that it started.
Explored explore(const std::vector<std::string>& words, const std::string& output,
                 const std::function<void(int)>& at_stop) {
  const UniqueFd out(::open(output.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  int link[2];
  if (::pipe2(link, O_CLOEXEC) != 0) fail_errno("pipe");
  const UniqueFd reader(link[0]);
  const UniqueFd writer(link[1]);
  const pid_t pid = ::fork();
  if (pid == 0) become(words, out.get(), writer.get());
  long number = -1;
  EXPECT_EQ(::read(reader.get(), &number, sizeof number), static_cast<ssize_t>(sizeof number));
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  const UniqueFd listener(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), number, 0)));
  Explored result;
  for (;;) {
    struct pollfd waited = {listener.get(), POLLIN, 0};
    const int ready = ::poll(&waited, 1, 20'000);
    if (ready <= 0) {
      ADD_FAILURE() << "it hangs at stop " << result.stops;
      ::kill(pid, SIGKILL);
      break;
    }
    // Nobody is left under the filter.
    if ((waited.revents & POLLIN) == 0) break;
    let_go_on(listener.get(), at_stop, result.stops);
  }
  result.status = wait_for(pid);
  result.output = read_text(output);
  return result;
}

// --- what lies outside ---

// Whoever opens, reads or changes anything in a tree.
class Watch {
 public:
  explicit Watch(const std::string& tree) : fd_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    add(tree);
    for (const auto& entry : fs::recursive_directory_iterator(tree)) add(entry.path().string());
    events();  // our own walk
  }
  // The names, since the last question.
  std::string events() const {
    std::string names;
    alignas(struct inotify_event) char block[4096];
    ssize_t size = 0;
    while ((size = ::read(fd_.get(), block, sizeof block)) > 0)
      for (ssize_t at = 0; at < size;) {
        const auto* event = reinterpret_cast<const struct inotify_event*>(block + at);
        names += fmt::format("{:#x} {}; ", event->mask, event->len > 0 ? event->name : "itself");
        at += static_cast<ssize_t>(sizeof *event) + event->len;
      }
    return names;
  }

 private:
  void add(const std::string& path) const {
    const std::uint32_t all = IN_OPEN | IN_ACCESS | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVE;
    ASSERT_GE(::inotify_add_watch(fd_.get(), path.c_str(), all | IN_DONT_FOLLOW), 0) << path;
  }
  UniqueFd fd_;
};

// Of the stops that are tried without BRYO_EXPLORE: every one belongs to some names.
constexpr int kStride = 4;

enum class LinkKind { absolute, climbing, magic, descriptor };
constexpr LinkKind kLinkKinds[] = {LinkKind::absolute, LinkKind::climbing, LinkKind::magic, LinkKind::descriptor};
// A directory outside that whoever called bryo-oci has left open.
constexpr int kLeak = 40;

class ExploreTest : public LaunchTest {
 protected:
  void SetUp() override {
    LaunchTest::SetUp();
    if (IsSkipped()) return;
    if (!kStaticPrograms) GTEST_SKIP() << "a sanitized bryo-oci stops mostly in the dynamic linker, thousands of times";
    program_ = fs::read_symlink("/proc/self/exe").parent_path().string() + "/bryo-oci";
    if (::access(program_.c_str(), X_OK) != 0) GTEST_SKIP() << program_ << " is not built";
    for (const char* name : {"a/b/c", "t/u", "m/masked", "r/fixed", "w", "srv/dev", "etc", "new"}) {
      fs::create_directories(root_ + "/" + name);
      fs::create_directories(outside() + "/" + name);
      write_text(outside() + "/" + std::string(name) + "/f", kSecret);
    }
    for (const char* name : {"proc", "sys", "dev/pts", "dev/shm", "bin", "a/b/c/d"})
      fs::create_directories(outside() + "/" + std::string(name));
    for (const char* name : {"etc/hosts", "m/file", "bin/cat", "bin/busybox"})
      write_text(outside() + "/" + name, kSecret);
    write_text(root_ + "/t/u/f", "copied\n");
    write_text(root_ + "/m/file", "masked\n");
    write_text(root_ + "/etc/hosts", "of the image\n");
    fs::create_directories(scratch_ / "volume");
    write_text(scratch_ / "volume/f", "volume\n");
    write_text(scratch_ / "hosts", "hosts\n");
    const UniqueFd directory(::open(outside().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_EQ(::dup2(directory.get(), kLeak), kLeak);
  }
  void TearDown() override { ::close(kLeak); }

  std::string outside() const { return scratch_ / "outside"; }

  oci::RuntimeSpec spec() const {
    oci::RuntimeSpec out = shell_spec("");
    out.process->args = {"/bin/cat",    "/a/b/c/f", "/etc/hosts", "/t/u/f", "/r/fixed/f",
                         "/m/masked/f", "/m/file",  "/new/x/f",   "f"};
    out.process->cwd = "/w/d";
    out.mounts.push_back({"/a/b/c", "bind", scratch_ / "volume", {"rbind"}, {}, {}});
    out.mounts.push_back({"/etc/hosts", "bind", scratch_ / "hosts", {"rbind", "ro"}, {}, {}});
    out.mounts.push_back({"/t/u", "tmpfs", "tmpfs", {"tmpcopyup", "size=1m"}, {}, {}});
    out.mounts.push_back({"/new/x/y", "bind", scratch_ / "volume", {"rbind"}, {}, {}});
    out.linux_->devices = {{"/srv/dev/zero", "c", 1, 5, 0666, {}, {}}};
    out.linux_->masked_paths.insert(out.linux_->masked_paths.end(), {"/m/masked", "/m/file"});
    out.linux_->readonly_paths.emplace_back("/r/fixed");
    return out;
  }

  std::vector<std::string> command(const std::vector<std::string>& words) const {
    std::vector<std::string> out = {program_, "--root", scratch_ / "state", "--cgroup-manager", "disabled"};
    out.insert(out.end(), words.begin(), words.end());
    return out;
  }

  // In the place of root/name, whether or not it is there.
  void swap_in(const std::string& name, LinkKind kind) const {
    const std::string path = root_ + "/" + name;
    std::string target = outside() + "/" + name;
    if (kind == LinkKind::climbing) target = "../../../../../../../../../.." + target;
    if (kind == LinkKind::magic) target = "/proc/self/root" + target;
    if (kind == LinkKind::descriptor) target = fmt::format("/proc/self/fd/{}/{}", kLeak, name);
    std::error_code absent;
    fs::rename(path, path + ".real", absent);
    fs::create_symlink(target, path);
  }
  void swap_out(const std::string& name) const {
    const std::string path = root_ + "/" + name;
    if (!fs::is_symlink(fs::symlink_status(path))) return;
    fs::remove(path);
    std::error_code absent;
    fs::rename(path + ".real", path, absent);
  }
  // What the runtime made, so that it makes it again.
  void clean() const {
    for (const char* name : {"new/x", "srv/dev/zero"}) fs::remove_all(root_ + "/" + std::string(name));
  }

  // Every stop with every name; the words start and end one run.
  void explore_all(const std::vector<std::string>& words, const std::vector<std::string>& names) {
    const Watch watch(outside());
    const int stops = explore(words, scratch_ / "out", [](int) {}).stops;
    clean();
    ASSERT_EQ(watch.events(), "");
    const bool all = std::getenv("BRYO_EXPLORE") != nullptr;
    for (std::size_t i = 0; i < names.size(); ++i)
      for (int stop = all ? 0 : static_cast<int>(i % kStride); stop < stops; stop += all ? 1 : kStride)
        for (const LinkKind kind : kLinkKinds) {
          if (!all && static_cast<int>(kind) != (stop / kStride + static_cast<int>(i)) % 4) continue;
          check_one(words, names[i], stop, kind, watch);
          if (HasFailure()) return;
        }
    RecordProperty("stops", stops);
    std::printf("note: %d stops, %zu names\n", stops, names.size());
  }

  void check_one(const std::vector<std::string>& words, const std::string& name, int stop, LinkKind kind,
                 const Watch& watch) {
    const Explored run = explore(words, scratch_ / "out", [&](int at) {
      if (at == stop) swap_in(name, kind);
    });
    const std::string where = fmt::format("{} at stop {}, link {}: {}", name, stop, static_cast<int>(kind), run.output);
    EXPECT_EQ(watch.events(), "") << where;
    EXPECT_THAT(run.output, Not(HasSubstr(kSecret))) << where;
    swap_out(name);
    clean();
  }

  std::string program_;
};

TEST_F(ExploreTest, CreateAndStart) {
  write_text(scratch_ / "config.json", oci::format_runtime_spec(spec()));
  const auto words = command({"run", "--bundle", scratch_.path(), "explored"});
  const Explored plain = explore(words, scratch_ / "out", [](int) {});
  ASSERT_THAT(plain.output, HasSubstr("volume\nhosts\ncopied\n"));
  clean();
  explore_all(words,
              {"a", "a/b",      "a/b/c",  "etc", "etc/hosts", "t", "t/u", "t/u/f", "new", "new/x", "srv", "srv/dev",
               "m", "m/masked", "m/file", "r",   "r/fixed",   "w", "w/d", "proc",  "sys", "dev",   "bin", "bin/cat"});
}

TEST_F(ExploreTest, Exec) {
  oci::RuntimeSpec sleeping = shell_spec("sleep 1000");
  write_text(scratch_ / "config.json", oci::format_runtime_spec(sleeping));
  const std::string options = fmt::format("{} --root {} --cgroup-manager disabled", program_, scratch_ / "state");
  const auto shell = [&](const std::string& words) {
    return std::system((options + " " + words + " </dev/null >/dev/null 2>&1").c_str());
  };
  ASSERT_EQ(shell("run --detach --bundle " + scratch_.path() + " explored"), 0);
  fs::create_directories(root_ + "/w/d");
  explore_all(command({"exec", "--cwd", "/w/d", "explored", "/bin/cat", "/etc/hosts", "/m/file", "f"}),
              {"w", "w/d", "etc", "etc/hosts", "bin", "bin/cat", "dev", "proc"});
  EXPECT_EQ(shell("delete --force explored"), 0);
}

}  // namespace
}  // namespace bryo::runtime::testing

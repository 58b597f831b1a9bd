#include <grp.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "ids/accounts.hpp"

namespace bryo::ids {

namespace {

constexpr std::size_t kMaxEntry = 4U << 20;  // a group with very many members

// Calls one of getpwnam_r, getpwuid_r, getgrnam_r, getgrgid_r with a buffer that grows. These report "no such entry"
// as 0 with a null result, but glibc's modules also as ENOENT, ESRCH, EBADF or EPERM (getpwnam_r(3)).
template <typename Entry, typename Call>
bool look_up(Entry& entry, std::vector<char>& buffer, const Call& call, std::string_view what) {
  for (buffer.resize(4096);; buffer.resize(buffer.size() * 4)) {
    Entry* result = nullptr;
    const int number = call(&entry, buffer.data(), buffer.size(), &result);
    if (number == 0 || number == ENOENT || number == ESRCH || number == EBADF || number == EPERM)
      return result != nullptr;
    if (number == EINTR) continue;
    if (number != ERANGE || buffer.size() > kMaxEntry)
      throw Error(ErrorKind::unavailable, Error::from_errno(number, fmt::format("look up {}", what)).message());
  }
}

template <typename Call>
std::optional<User> find_user(const Call& call, std::string_view what) {
  struct passwd entry = {};
  std::vector<char> buffer;
  if (!look_up(entry, buffer, call, what)) return std::nullopt;
  return User{entry.pw_name, entry.pw_uid, entry.pw_gid};
}

template <typename Call>
std::optional<Group> find_group(const Call& call, std::string_view what) {
  struct group entry = {};
  std::vector<char> buffer;
  if (!look_up(entry, buffer, call, what)) return std::nullopt;
  return Group{entry.gr_name, entry.gr_gid};
}

// Runs a program of the host by absolute path with a clean, fixed environment (D6). nullopt when it is not there.
std::optional<int> run(const std::vector<std::string>& words) {
  if (::access(words[0].c_str(), X_OK) != 0) return std::nullopt;
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::string environment_path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  std::array<char*, 2> environment{environment_path.data(), nullptr};
  pid_t child = 0;
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  const int number = ::posix_spawn(&child, words[0].c_str(), &actions, nullptr, arguments.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (number != 0) throw Error::from_errno(number, "run " + words[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) fail_errno("wait for {}", words[0]);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

std::optional<User> NssAccounts::user(std::string_view name) const {
  const std::string text(name);
  return find_user([&](auto... rest) { return ::getpwnam_r(text.c_str(), rest...); }, "user " + printable(name));
}

std::optional<User> NssAccounts::user(std::uint32_t uid) const {
  return find_user([&](auto... rest) { return ::getpwuid_r(uid, rest...); }, fmt::format("user {}", uid));
}

std::optional<Group> NssAccounts::group(std::string_view name) const {
  const std::string text(name);
  return find_group([&](auto... rest) { return ::getgrnam_r(text.c_str(), rest...); }, "group " + printable(name));
}

std::optional<Group> NssAccounts::group(std::uint32_t gid) const {
  return find_group([&](auto... rest) { return ::getgrgid_r(gid, rest...); }, fmt::format("group {}", gid));
}

// shadow-utils (Debian, Fedora, Arch …), else busybox (Alpine). Neither is given a shell or a home directory.
User NssAccounts::create_system_user(std::string_view name) {
  const std::string text(name);
  std::optional<int> status;
  for (const char* directory : {"/usr/sbin/", "/sbin/"})
    if (!status)
      status = run({std::string(directory) + "useradd", "--system", "--user-group", "--no-create-home", "--home-dir",
                    "/nonexistent", "--shell", "/bin/false", text});
  for (const char* directory : {"/usr/sbin/", "/sbin/"})
    if (!status) {
      run({std::string(directory) + "addgroup", "-S", text});
      status = run({std::string(directory) + "adduser", "-S", "-D", "-H", "-s", "/bin/false", "-G", text, text});
    }
  if (!status)
    fail(ErrorKind::unsupported,
         "create system user \"{}\": neither useradd nor adduser is installed; create it, and "
         "add lines such as {}:165536:65536 to /etc/subuid and /etc/subgid",
         text, text);
  const auto made = user(name);
  if (!made)
    fail(ErrorKind::internal, "create system user \"{}\": the program ended with status {}, and the user is not there",
         text, *status);
  return *made;
}

}  // namespace bryo::ids

#include "ids/shadow_lock.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/unique_fd.hpp"

namespace bryo::ids {

namespace {

using std::chrono::steady_clock;

// The number in a lock file; 0 when it cannot be read (then its holder is taken to be alive).
pid_t holder_of(const std::string& lock) {
  const UniqueFd fd(::open(lock.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return 0;
  FdSource source(fd.get());
  const std::string text = read_all(source, 64);
  return parse_integer<pid_t>(text.substr(0, text.find('\0'))).value_or(0);
}

bool is_dead(pid_t process) { return process > 0 && ::kill(process, 0) != 0 && errno == ESRCH; }

// The number, ended by a zero byte, as shadow-utils write and expect it.
void write_number(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) fail_errno("create lock file {}", path);
  const std::string text = std::to_string(::getpid()) + '\0';
  FdSink(fd.get()).write(text);
}

}  // namespace

ShadowLock::ShadowLock(const std::string& file) : lock_(file + ".lock") {
  const std::string own = file + "." + std::to_string(::getpid());
  write_number(own);
  const auto deadline = steady_clock::now() + std::chrono::seconds(15);
  int number = 0;
  while (::link(own.c_str(), lock_.c_str()) != 0) {
    number = errno;
    if (number != EEXIST) break;
    if (is_dead(holder_of(lock_))) {
      ::unlink(lock_.c_str());
    } else if (steady_clock::now() > deadline) {
      break;
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    number = 0;
  }
  ::unlink(own.c_str());
  if (number == EEXIST)
    fail(ErrorKind::conflict, "lock {}: process {} holds {}; try again, or remove that file if the process is gone",
         file, holder_of(lock_), lock_);
  if (number != 0) throw Error::from_errno(number, "create lock " + lock_);
}

ShadowLock::~ShadowLock() { ::unlink(lock_.c_str()); }

}  // namespace bryo::ids

// The lock of shadow-utils on one of its files (useradd, usermod and passwd take the same): "<file>.lock" is a second
// link to a file that holds the owner's process number. Held from construction to destruction; waits up to 15 s for
// another holder and takes over from one that is dead. Throws Error{conflict} when the holder stays.
#pragma once

#include <string>

namespace bryo::ids {

class ShadowLock {
 public:
  explicit ShadowLock(const std::string& file);
  ~ShadowLock();
  ShadowLock(const ShadowLock&) = delete;
  ShadowLock& operator=(const ShadowLock&) = delete;

 private:
  std::string lock_;
};

}  // namespace bryo::ids

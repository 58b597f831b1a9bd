// Times of archives and of the kernel.
#pragma once

#include <sys/stat.h>
#include <time.h>

#include "storage/tar_format.hpp"

namespace bryo::storage {

// As Docker: nothing before 1970.
inline struct timespec to_timespec(const TarTime& time) {
  if (time.seconds < 0) return {0, 0};
  return {static_cast<time_t>(time.seconds), static_cast<long>(time.nanoseconds)};
}

inline TarTime to_tar_time(const struct timespec& time) {
  return {time.tv_sec, static_cast<std::uint32_t>(time.tv_nsec)};
}

}  // namespace bryo::storage

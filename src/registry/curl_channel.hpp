// One libcurl easy handle in a multi handle of its own, which owns the connections that can be used again. Private to
// http.cpp. A channel serves one request at a time.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <mutex>
#include <vector>

#include "registry/addresses.hpp"

namespace bryo::registry {

struct CurlChannel {
  CurlChannel();
  ~CurlChannel();
  CurlChannel(const CurlChannel&) = delete;
  CurlChannel& operator=(const CurlChannel&) = delete;

  CURLM* multi;
  CURL* easy;
};

// Idle channels, apart by Reach: a connection that was opened for a registry on the loopback must not serve a redirect
// that may not go there. Thread-safe.
class ChannelPool {
 public:
  std::unique_ptr<CurlChannel> take(Reach reach);
  void give_back(Reach reach, std::unique_ptr<CurlChannel> channel);
  void clear();

 private:
  static constexpr std::size_t kMaxIdle = 16;
  std::mutex mutex_;
  std::vector<std::unique_ptr<CurlChannel>> idle_[3];  // guarded by mutex_, by Reach
};

}  // namespace bryo::registry

#include "registry/curl_channel.hpp"

#include <algorithm>
#include <iterator>
#include <new>

namespace bryo::registry {

namespace {

std::size_t index_of(Reach reach) { return static_cast<std::size_t>(reach); }

void initialise_once() {
  static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (done != CURLE_OK) throw std::bad_alloc();
}

}  // namespace

CurlChannel::CurlChannel() : multi(nullptr), easy(nullptr) {
  initialise_once();
  multi = curl_multi_init();
  easy = multi != nullptr ? curl_easy_init() : nullptr;
  if (easy != nullptr) return;
  if (multi != nullptr) curl_multi_cleanup(multi);
  throw std::bad_alloc();
}

CurlChannel::~CurlChannel() {
  curl_multi_remove_handle(multi, easy);
  curl_easy_cleanup(easy);
  curl_multi_cleanup(multi);
}

std::unique_ptr<CurlChannel> ChannelPool::take(Reach reach) {
  {
    const std::lock_guard lock(mutex_);
    auto& idle = idle_[index_of(reach)];
    if (!idle.empty()) {
      auto channel = std::move(idle.back());
      idle.pop_back();
      return channel;
    }
  }
  return std::make_unique<CurlChannel>();
}

void ChannelPool::give_back(Reach reach, std::unique_ptr<CurlChannel> channel) {
  const std::lock_guard lock(mutex_);
  auto& idle = idle_[index_of(reach)];
  if (idle.size() < kMaxIdle) idle.push_back(std::move(channel));
}

void ChannelPool::clear() {
  std::vector<std::unique_ptr<CurlChannel>> closing;
  const std::lock_guard lock(mutex_);
  for (auto& idle : idle_) {
    std::ranges::move(idle, std::back_inserter(closing));
    idle.clear();
  }
}

}  // namespace bryo::registry

#include "network/host_resolvers.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "kernel/files.hpp"

namespace bryo::network {
namespace {

constexpr std::size_t kLargestFile = 65536;
constexpr std::size_t kMostUpstreams = 3;  // MAXNS of the C library

struct SmallFile {
  std::string text;
  std::int64_t stamp = 0;  // changes when the file does; 0 when there is none
};

SmallFile read_small_file(const std::string& path) {
  SmallFile file;
  try {
    const UniqueFd fd = kernel::open_trusted(path, O_RDONLY);
    const struct stat status = kernel::stat_fd(fd.get());
    file.stamp = status.st_mtim.tv_sec * 1000000007 + status.st_mtim.tv_nsec + status.st_size +
                 static_cast<std::int64_t>(status.st_ino) * 31;
    file.text.resize(kLargestFile);
    const ssize_t size = ::read(fd.get(), file.text.data(), file.text.size());
    file.text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  } catch (const Error&) {
    return {};  // no file, no resolvers: resolv.conf(5)
  }
  return file;
}

bool only_loopback(const ResolvConf& conf) {
  return !conf.servers.empty() && std::all_of(conf.servers.begin(), conf.servers.end(), [](const std::string& server) {
    const auto address = kernel::IpAddress::try_parse(server);
    return address && address->is_loopback();
  });
}

}  // namespace

HostResolvers::HostResolvers(std::string path, std::string behind_stub, std::string relay)
    : path_(std::move(path)), behind_stub_(std::move(behind_stub)), relay_(std::move(relay)) {}

ResolvConf HostResolvers::current() const {
  if (relay_.empty()) return reachable();
  ResolvConf conf = own();
  conf.servers = {relay_};
  return conf;
}

ResolvConf HostResolvers::reachable() const {
  const SmallFile own = read_small_file(path_);
  const std::lock_guard lock(mutex_);
  if (own.stamp == stamp_) return cached_;
  cached_ = parse_resolv_conf(own.text);
  stamp_ = own.stamp;
  if (!only_loopback(cached_)) return cached_;
  ResolvConf behind = parse_resolv_conf(read_small_file(behind_stub_).text);
  if (behind.servers.empty()) return cached_;
  stamp_ = -1;  // the file behind changes on its own
  return behind;
}

ResolvConf HostResolvers::own() const { return parse_resolv_conf(read_small_file(path_).text); }

std::vector<DnsUpstream> HostResolvers::upstreams(const std::vector<std::string>& asked) const {
  std::vector<DnsUpstream> out;
  for (const std::string& server : asked.empty() ? current().servers : asked) {
    const auto address = kernel::IpAddress::try_parse(server);
    if (!address || out.size() == kMostUpstreams) continue;
    out.push_back({*address, asked.empty() && address->is_loopback()});
  }
  return out;
}

}  // namespace bryo::network

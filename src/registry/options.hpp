// How registries are reached: dockerd's --registry-mirror, --insecure-registry, proxies and certificates.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace bryo::registry {

struct RegistryOptions {
  // For docker.io only, tried in order before it: "http://127.0.0.1:5000", "https://mirror.example/prefix".
  std::vector<std::string> mirrors;
  // host, host:port or CIDR. There https goes unverified and plain http is tried after it. 127.0.0.0/8 and ::1 always
  // belong to it.
  std::vector<std::string> insecure;
  // <dir>/<host[:port]>/{*.crt, *.cert with *.key}, as Docker lays them out; the first directory that exists wins.
  std::vector<std::string> certificate_directories = {"/etc/bryo/certs.d", "/etc/docker/certs.d"};
  // Hosts (host or host:port) that may get credentials as token services of registries they do not belong to; see
  // auth.hpp.
  std::vector<std::string> trusted_realms;
  // Empty: HTTP_PROXY, HTTPS_PROXY, NO_PROXY of the environment.
  std::string http_proxy;
  std::string https_proxy;
  std::string no_proxy;
  std::string user_agent = "bryo";
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(30);
  // Without one byte for so long, a transfer is retried, then given up.
  std::chrono::milliseconds idle_timeout = std::chrono::seconds(60);
  int max_attempts = 5;
  std::chrono::milliseconds first_backoff = std::chrono::milliseconds(250);  // doubled each time, at most 10 s
};

// True once the caller has gone; asked several times a second, from several threads. Empty: never.
using Cancelled = std::function<bool()>;

}  // namespace bryo::registry

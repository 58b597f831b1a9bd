// What forwarding costs: a published port of a rootless engine beside one that the kernel translates. No limits are
// checked where other work disturbs; run by hand:
//   tests/run -- build/release/bin/engine_test --gtest_also_run_disabled_tests --gtest_filter='*Speed*'
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "engine/outside_lab_test.hpp"

namespace bryo::engine::lab {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void set_blocking(const UniqueFd& fd) { ::fcntl(fd.get(), F_SETFL, 0); }

// Gigabits a second of one connection that sends for a second.
double throughput(int client_netns, const char* address, Server& server) {
  auto client = dial(client_netns, address, 8080);
  auto accepted = server.accept();
  if (!client || !accepted) return 0;
  set_blocking(*client);
  set_blocking(*accepted);
  std::thread sender([&] {
    const std::string block(256 * 1024, 'x');
    const auto start = Clock::now();
    while (seconds_since(start) < 1)
      if (::write(client->get(), block.data(), block.size()) <= 0) break;
    client->reset();
  });
  std::vector<char> buffer(256 * 1024);
  std::size_t total = 0;
  const auto start = Clock::now();
  for (ssize_t got; (got = ::read(accepted->get(), buffer.data(), buffer.size())) > 0;)
    total += static_cast<std::size_t>(got);
  const double rate = static_cast<double>(total) * 8 / seconds_since(start) / 1e9;
  sender.join();
  return rate;
}

// One connection after the other, with a byte each way.
double connections_per_second(int client_netns, const char* address, Server& server) {
  constexpr int kCount = 1500;
  std::thread echo([&] {
    for (int i = 0; i < kCount; ++i) {
      auto accepted = server.accept();
      if (!accepted) return;
      set_blocking(*accepted);
      char byte = 0;
      if (::read(accepted->get(), &byte, 1) != 1 || ::write(accepted->get(), &byte, 1) != 1) return;
      ::read(accepted->get(), &byte, 1);
    }
  });
  const auto start = Clock::now();
  int done = 0;
  for (; done < kCount; ++done) {
    auto client = dial(client_netns, address, 8080);
    if (!client) break;
    set_blocking(*client);
    char byte = 'x';
    if (::write(client->get(), &byte, 1) != 1 || ::read(client->get(), &byte, 1) != 1) break;
    ::shutdown(client->get(), SHUT_WR);
    ::read(client->get(), &byte, 1);
  }
  const double rate = done / seconds_since(start);
  echo.join();
  return rate;
}

void measure(const char* what, int client_netns, Server& server) {
  std::vector<double> rates;
  for (int i = 0; i < 5; ++i) rates.push_back(throughput(client_netns, kLanHost, server));
  std::sort(rates.begin(), rates.end());
  std::printf("%s: %.1f Gbit/s, %.0f connections/s\n", what, rates[2],
              connections_per_second(client_netns, kLanHost, server));
}

class TranslatedSpeed : public NetworkLab {};

TEST_F(TranslatedSpeed, DISABLED_OfOneConnectionAndOfMany) {
  const OtherHost lan = plug_in();
  start();
  const Container a = make_container("a", {"bridge"});
  const PublishResult published = publish(a, 80, 8080);
  Server server(a.netns.get(), "0.0.0.0", 80);
  measure("translated by the kernel", lan.netns.get(), server);
}

class OutsideSpeed : public OutsideLab {};

TEST_F(OutsideSpeed, DISABLED_OfOneConnectionAndOfMany) {
  const OtherHost lan = plug_in_outside();
  start_inside();
  const Container a = make_container("a", {"bridge"});
  const PublishResult published = forward(a, 80, 8080);
  Server server(a.netns.get(), "0.0.0.0", 80);
  measure("forwarded with the client's address", lan.netns.get(), server);
}

}  // namespace
}  // namespace bryo::engine::lab

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
double throughput(int client_netns, const char* address, Server& server, int port = 8080) {
  auto client = dial(client_netns, address, port);
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
double connections_per_second(int client_netns, const char* address, Server& server, int port = 8080) {
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
    auto client = dial(client_netns, address, port);
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

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// In turns: what other work takes away, it takes from both.
TEST_F(OutsideSpeed, DISABLED_BesideAServerOfTheHost) {
  const OtherHost lan = plug_in_outside();
  start_inside();
  const Container a = make_container("a", {"bridge"});
  const PublishResult published = forward(a, 80, 8080);
  Server forwarded(a.netns.get(), "0.0.0.0", 80);
  Server direct(host(), "0.0.0.0", 9090);
  std::vector<double> rates[2];
  std::vector<double> ratios;
  for (int round = 0; round < 5; ++round) {
    rates[0].push_back(throughput(lan.netns.get(), kLanHost, direct, 9090));
    rates[1].push_back(throughput(lan.netns.get(), kLanHost, forwarded));
    ratios.push_back(rates[1].back() / rates[0].back());
  }
  std::printf("direct %.1f Gbit/s, forwarded %.1f Gbit/s: median of the rounds' ratios %.2f\n", median(rates[0]),
              median(rates[1]), median(ratios));
  const double there = connections_per_second(lan.netns.get(), kLanHost, direct, 9090);
  const double here = connections_per_second(lan.netns.get(), kLanHost, forwarded);
  std::printf("direct %.0f connections/s, forwarded %.0f connections/s: %.2f\n", there, here, here / there);
}

}  // namespace
}  // namespace bryo::engine::lab

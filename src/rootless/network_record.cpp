#include "rootless/network_record.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/start_program.hpp"

namespace bryo::rootless {
namespace {

constexpr const char* kName = "usernet.json";
constexpr std::size_t kLargest = 65536;

std::string boot_id() {
  const UniqueFd fd = kernel::open_trusted("/proc/sys/kernel/random/boot_id", O_RDONLY);
  return std::string(trim(kernel::read_file(fd.get(), 256)));
}

UniqueFd open_directory(const std::string& path) { return kernel::open_trusted(path, O_RDONLY | O_DIRECTORY); }

}  // namespace
void end_process(int process) {
  constexpr int kEndPatience = 3000;  // ms, between SIGTERM and SIGKILL
  if (!kernel::send_signal(process, SIGTERM)) return kernel::reap(process);
  if (!kernel::wait_for_end(process, kEndPatience)) {
    kernel::send_signal(process, SIGKILL);
    kernel::wait_for_end(process, -1);
  }
  kernel::reap(process);
}

}  // namespace bryo::rootless

namespace bryo {

template <>
struct json::Fields<rootless::UserNetworkFacts> {
  using Facts = rootless::UserNetworkFacts;
  static constexpr auto list = std::tuple{field("Interface", &Facts::interface),
                                          field("MTU", &Facts::mtu),
                                          field("Address", &Facts::address),
                                          field("Gateway", &Facts::gateway),
                                          field("DNS", &Facts::dns),
                                          field("HostAddress", &Facts::host_address),
                                          field("Address6", &Facts::address6),
                                          field("Gateway6", &Facts::gateway6),
                                          field("DNS6", &Facts::dns6),
                                          field("HostAddress6", &Facts::host_address6)};
};

}  // namespace bryo

namespace bryo::rootless {

NetworkRecord NetworkRecord::of(const UserNetworkFacts& facts, int pid) {
  const auto stat = kernel::process_stat(pid);
  if (!stat) fail(ErrorKind::unavailable, "the user-mode network's process {} has ended", pid);
  return {facts, pid, stat->start_time, boot_id()};
}

void NetworkRecord::write(const std::string& state_directory) const {
  json::Object out;
  out["Driver"] = std::string(to_string(facts.driver));
  out["Pid"] = pid;
  out["StartTime"] = start_time;
  out["Boot"] = boot;
  out["Facts"] = json::encode(facts);
  kernel::write_file_durably(open_directory(state_directory).get(), kName, json::serialize(out));
}

std::optional<NetworkRecord> NetworkRecord::read(const std::string& state_directory) {
  try {
    const UniqueFd directory = open_directory(state_directory);
    const auto status = kernel::try_stat_at(directory.get(), kName);
    if (!status) return std::nullopt;
    const UniqueFd file = kernel::open_at(directory.get(), kName, O_RDONLY);
    const json::Object in = json::parse(kernel::read_file(file.get(), kLargest)).as_object();
    NetworkRecord out;
    out.facts = json::decode<UserNetworkFacts>(in.at("Facts"));
    out.facts.driver = parse_network_driver(std::string(in.at("Driver").as_string()));
    out.pid = in.at("Pid").to_number<int>();
    out.start_time = in.at("StartTime").to_number<std::uint64_t>();
    out.boot = in.at("Boot").as_string();
    return out;
  } catch (const std::exception& error) {
    // Then it is as if there were no process: start() makes a new one, and the old one ends with its namespace.
    log::warning("record of the user-mode network in {}: {}", state_directory, error.what());
    return std::nullopt;
  }
}

void NetworkRecord::remove(const std::string& state_directory) {
  const UniqueFd directory = open_directory(state_directory);
  if (kernel::try_stat_at(directory.get(), kName)) kernel::unlink_at(directory.get(), kName);
}

UniqueFd NetworkRecord::open() const {
  if (pid <= 1 || boot != boot_id()) return {};
  UniqueFd process = kernel::open_process(pid, start_time);
  if (process && kernel::wait_for_end(process.get(), 0)) process.reset();  // it has ended, nobody has reaped it yet
  return process;
}

}  // namespace bryo::rootless

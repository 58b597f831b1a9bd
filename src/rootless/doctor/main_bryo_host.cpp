// bryo-host: what `bryo doctor` and `bryo setup` ask about the host, and do with ids that are not the caller's own.
//   bryo-host doctor [--format text|json] [--data-root DIRECTORY]     0: containers can run, 1: they cannot
//   bryo-host apparmor-profile [DIRECTORY]                            the profile for the programs in DIRECTORY
//   bryo-host apparmor-profile-path [DIRECTORY]                       where it belongs
//   bryo-host remove DIRECTORY...                                     trees with files of subordinate ids
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "rootless/doctor/checks.hpp"
#include "rootless/doctor/real_host.hpp"
#include "rootless/doctor/remove_data.hpp"

namespace {

using bryo::ErrorKind;
using bryo::fail;
using namespace bryo::rootless::doctor;
using Words = std::vector<std::string>;

int run_doctor(const Words& words) {
  std::string format = "text", data_root;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const bool has_value = i + 1 < words.size();
    if (words[i] == "--format" && has_value)
      format = words[++i];
    else if (words[i] == "--data-root" && has_value)
      data_root = words[++i];
    else
      fail(ErrorKind::invalid_argument, "doctor: unknown word \"{}\"", bryo::printable(words[i]));
  }
  if (format != "text" && format != "json")
    fail(ErrorKind::invalid_argument, "--format {}: text or json", bryo::printable(format));
  const Report report = examine(RealHost(data_root));
  std::fputs((format == "json" ? as_json(report) : as_text(report)).c_str(), stdout);
  return report.can_run() ? 0 : 1;
}

int run(const Words& words) {
  const std::string command = words.empty() ? "" : words[0];
  if (command == "doctor") return run_doctor(words);
  if (command == "remove") {
    remove_data({words.begin() + 1, words.end()});
    return 0;
  }
  if (command == "apparmor-profile" || command == "apparmor-profile-path") {
    const std::string directory = words.size() > 1 ? words[1] : RealHost("/").program_directory();
    std::fputs(
        (command == "apparmor-profile" ? apparmor_profile(directory) : apparmor_profile_path(directory) + "\n").c_str(),
        stdout);
    return 0;
  }
  fail(ErrorKind::invalid_argument,
       "usage: bryo-host doctor [--format text|json] [--data-root DIRECTORY] | apparmor-profile [DIRECTORY] | "
       "apparmor-profile-path [DIRECTORY] | remove DIRECTORY...");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    bryo::log::set_level(bryo::log::Level::error);  // what is found is in the report
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bryo-host: %s\n", error.what());
    return 2;
  }
}

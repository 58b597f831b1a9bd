#include "cli/setup/contents.hpp"

#include <fmt/format.h>

#include <array>

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/strings.hpp"
#include "cli/files/disk.hpp"
#include "cli/setup/units.hpp"

namespace bryo::cli {
namespace {

// Those that lie beside each other; package.sh has the same list.
constexpr std::array kPrograms = {"bryo",     "bryod",        "bryo-host",     "bryo-init",
                                  "bryo-oci", "bryo-monitor", "bryo-rootless", "bryo-usernet"};
constexpr mode_t kProgramMode = 0755;

std::string replaced(std::string_view text, std::string_view old, std::string_view with) {
  std::string out(text);
  for (auto at = out.find(old); at != std::string::npos; at = out.find(old, at + with.size()))
    out.replace(at, old.size(), with);
  return out;
}

std::string for_programs(std::string_view unit, const SetupPlaces& places) {
  return replaced(unit, "/usr/bin/bryod", unit_word(places.programs + "/bryod"));
}

}  // namespace

std::string unit_word(const std::string& path) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@,:";
  if (path.find_first_not_of(kPlain) == std::string::npos) return path;
  std::string out = "\"";
  for (const char c : path) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '%' || c == '$') out += c;
    out += c;
  }
  return out + '"';
}

std::vector<WantedFile> program_files(const SetupPlaces& places, const std::string& source) {
  std::vector<WantedFile> files;
  for (const char* program : kPrograms) {
    auto content = read_whole_file(fmt::format("{}/{}", source, program));
    if (!content)
      fail(ErrorKind::not_found,
           "{}/{} is not there: bryo setup installs the programs that lie beside it. Unpack Bryo's archive again, and "
           "run "
           "bin/bryo setup of it",
           source, program);
    files.push_back({fmt::format("{}/{}", places.programs, program), std::move(*content), kProgramMode});
  }
  return files;
}

std::vector<WantedFile> unit_files(const SetupPlaces& places) {
  if (!places.system) return {{places.units + "/bryo.service", for_programs(kUserUnit, places), 0644}};
  return {{places.units + "/bryo.service", for_programs(kSystemUnit, places), 0644},
          {places.units + "/bryo.socket", std::string(kSystemSocket), 0644},
          {"/etc/default/bryo", std::string(kSystemDefaults), 0644},
          {"/etc/sysusers.d/bryo.conf", std::string(kSysusers), 0644}};
}

// docker context create bryo --docker host=unix://…: the directory is named by the digest of the context's name.
std::vector<WantedFile> docker_context_files(const SetupPlaces& places) {
  if (places.docker.empty()) return {};
  const json::Object context{
      {"Name", "bryo"},
      {"Metadata", json::Object{{"Description", "Bryo of this user"}}},
      {"Endpoints",
       json::Object{{"docker", json::Object{{"Host", "unix://" + places.socket()}, {"SkipTLSVerify", false}}}}}};
  return {{fmt::format("{}/contexts/meta/{}/meta.json", places.docker, Digest::of("bryo").hex()),
           json::serialize(context), 0644}};
}

}  // namespace bryo::cli

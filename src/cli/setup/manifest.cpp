#include "cli/setup/manifest.hpp"

#include "base/error.hpp"
#include "base/json.hpp"
#include "cli/files/disk.hpp"

namespace bryo::json {

template <>
struct Fields<cli::Manifest> {
  static constexpr auto list = std::tuple{
      field("Prefix", &cli::Manifest::prefix), field("Files", &cli::Manifest::files),
      field("Directories", &cli::Manifest::directories), field("PreviousContext", &cli::Manifest::previous_context)};
};

}  // namespace bryo::json

namespace bryo::cli {

std::optional<Manifest> read_manifest(const std::string& file) {
  const auto text = read_whole_file(file);
  if (!text) return std::nullopt;
  try {
    return json::decode<Manifest>(json::parse(*text));
  } catch (const Error& error) {
    fail(ErrorKind::invalid_argument, "{}: {}", file, error.message());
  }
}

std::string manifest_text(const Manifest& manifest) { return json::pretty(json::encode(manifest)) + "\n"; }

}  // namespace bryo::cli

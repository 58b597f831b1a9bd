#include "cli/commands/image_rows.hpp"

#include <map>

#include "base/error.hpp"
#include "cli/auth/reference.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/units.hpp"

namespace bryo::cli {
namespace {

constexpr const char* kNone = "<none>";

struct Name {
  std::string repository = kNone;
  std::string tag = kNone;
  std::string digest = kNone;
};

// repository → tags or digests, in the order of the list
using Names = std::vector<std::pair<std::string, std::vector<std::string>>>;

Names group(const std::vector<std::string>& references, std::string Reference::*part) {
  Names out;
  for (const std::string& text : references) {
    try {
      const Reference reference = Reference::parse(text);
      if ((reference.*part).empty()) continue;
      const std::string repository = reference.familiar_name();
      auto found = std::find_if(out.begin(), out.end(), [&](const auto& item) { return item.first == repository; });
      if (found == out.end()) found = out.insert(out.end(), {repository, {}});
      found->second.push_back(reference.*part);
    } catch (const Error&) {
      // "<none>:<none>": no name.
    }
  }
  return out;
}

std::vector<Name> names_of(const json::Value& image, bool digests) {
  const Names tags = group(texts_at(image, "RepoTags"), &Reference::tag);
  Names pinned = group(texts_at(image, "RepoDigests"), &Reference::digest);
  std::vector<Name> out;
  for (const auto& [repository, list] : tags) {
    const auto same = std::find_if(pinned.begin(), pinned.end(),
                                   [&, &name = repository](const auto& item) { return item.first == name; });
    std::vector<std::string> own;
    if (same != pinned.end()) {
      if (digests) own = same->second;
      pinned.erase(same);
    }
    if (own.empty()) own.emplace_back(kNone);
    for (const std::string& tag : list)
      for (const std::string& digest : own) out.push_back({repository, tag, digest});
  }
  for (const auto& [repository, list] : pinned) {
    if (!digests) out.push_back({repository, kNone, kNone});
    for (const std::string& digest : list)
      if (digests) out.push_back({repository, kNone, digest});
  }
  if (out.empty()) out.emplace_back();
  return out;
}

std::string optional_size(const json::Value& image, const char* field) {
  const double size = real_at(image, field);
  return find_at(image, field) == nullptr || size < 0 ? "N/A" : human_size(size);
}

}  // namespace

const ListStyle kImageStyle = {
    "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}",
    "{{.ID}}",
    {{"ID", "IMAGE ID"},
     {"Repository", "REPOSITORY"},
     {"Tag", "TAG"},
     {"Digest", "DIGEST"},
     {"CreatedSince", "CREATED"},
     {"CreatedAt", "CREATED AT"},
     {"Size", "SIZE"},
     {"Containers", "CONTAINERS"},
     {"VirtualSize", "SIZE"},
     {"SharedSize", "SHARED SIZE"},
     {"UniqueSize", "UNIQUE SIZE"}},
    "*formatter.imageContext"};

std::vector<Row> image_rows(const json::Value& image, const ImageRowOptions& options) {
  const std::string id = text_at(image, "Id");
  const std::int64_t created = number_at(image, "Created");
  const double size = real_at(image, "Size");
  const double shared = real_at(image, "SharedSize");
  const std::int64_t containers = number_at(image, "Containers");
  std::vector<Row> rows;
  for (const Name& name : names_of(image, options.digests)) {
    Row row;
    row.fields = json::Object{
        {"ID", options.truncate ? short_id(id) : id},
        {"Repository", name.repository},
        {"Tag", name.tag},
        {"Digest", name.digest},
        {"CreatedSince", created > 0 ? human_ago(created, options.now) : "N/A"},
        {"CreatedAt", local_time(created)},
        {"Size", human_size(size, 3)},
        {"Containers", containers < 0 ? "N/A" : std::to_string(containers)},
        {"VirtualSize", human_size(size)},
        {"SharedSize", optional_size(image, "SharedSize")},
        {"UniqueSize", shared < 0 || find_at(image, "SharedSize") == nullptr ? "N/A" : human_size(size - shared)}};
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace bryo::cli

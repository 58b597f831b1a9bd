// Images as rows: one for each name that an image has.
#pragma once

#include <vector>

#include "cli/format/listing.hpp"

namespace bryo::cli {

struct ImageRowOptions {
  bool truncate = true;
  bool digests = false;  // a row for each digest, too
  std::int64_t now = 0;
};

std::vector<Row> image_rows(const json::Value& image, const ImageRowOptions& options);

extern const ListStyle kImageStyle;

}  // namespace bryo::cli

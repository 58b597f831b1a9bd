// Which images do these filters mean? For ls and prune.
#pragma once

#include "images/image_store_impl.hpp"

namespace bryo::images {

class ImageFilter {
 public:
  // Error{invalid_argument} for filters and values that Docker does not know.
  ImageFilter(const ImageStore::Impl& impl, const Filters& filters);
  bool matches(const Image& image) const;
  // Of an image's names, is this one meant? Always without a filter by reference.
  bool keeps(const std::string& full_name) const;

 private:
  bool matches_labels(const Image& image) const;
  bool matches_reference(const Image& image) const;

  const ImageStore::Impl& impl_;
  const Filters& filters_;
  std::int64_t before_ = 0;  // seconds; 0: not asked
  std::int64_t since_ = 0;
  std::int64_t until_ = 0;
};

}  // namespace bryo::images

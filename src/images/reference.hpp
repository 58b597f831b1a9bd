// What does "busybox" mean? Names of images as Docker reads them (distribution reference grammar, with the hub as the
// default): [domain[:port]/]path[:tag][@digest].
//
// A value; any thread. Malformed text throws Error{invalid_argument} with Docker's texts: "invalid reference format",
// "invalid reference format: repository name (library/Foo) must be lowercase", "repository name must not be longer …".
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.hpp"

namespace bryo::images {

inline constexpr std::string_view kHubDomain = "docker.io";
inline constexpr std::string_view kDefaultTag = "latest";

class Reference {
 public:
  // As people type it; "busybox" is docker.io/library/busybox. No tag is added.
  static Reference parse(std::string_view text);
  // `repository` as typed, plus `tag`: a tag, or a digest ("sha256:…"), as POST /images/create gives them. Empty: none.
  // A tag in `repository` loses against `tag`.
  static Reference parse(std::string_view repository, std::string_view tag);
  static std::optional<Reference> try_parse(std::string_view text);
  // [\w][\w.-]{0,127}
  static bool is_valid_tag(std::string_view tag);

  const std::string& domain() const { return domain_; }  // "docker.io", "127.0.0.1:5000"
  const std::string& path() const { return path_; }      // "library/busybox"
  const std::optional<std::string>& tag() const { return tag_; }
  const std::optional<Digest>& digest() const { return digest_; }

  // "docker.io/library/busybox"
  std::string name() const { return domain_ + "/" + path_; }
  // "busybox", "127.0.0.1:5000/hello"
  std::string familiar_name() const;
  // Full, with tag and digest where present: "docker.io/library/busybox:latest".
  std::string str() const;
  std::string familiar() const;

  // latest, unless it has a tag or a digest.
  Reference with_default_tag() const;
  Reference with_tag(std::string_view tag) const;     // drops the digest
  Reference with_digest(const Digest& digest) const;  // drops the tag
  Reference without_tag_and_digest() const;
  auto operator<=>(const Reference&) const = default;

 private:
  std::string domain_;
  std::string path_;
  std::optional<std::string> tag_;
  std::optional<Digest> digest_;
};

}  // namespace bryo::images

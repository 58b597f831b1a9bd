// Names of images as people write them (busybox, host:5000/a/b:tag@sha256:…), by the rules of Docker's distribution
// reference grammar.
#pragma once

#include <string>
#include <string_view>

namespace bryo::cli {

struct Reference {
  std::string domain;  // docker.io when none was written
  std::string path;    // library/busybox
  std::string tag;
  std::string digest;  // sha256:…

  // Throws Error{invalid_argument} "invalid reference format…".
  static Reference parse(std::string_view text);

  // docker.io/library/busybox
  std::string name() const { return domain + "/" + path; }
  // busybox
  std::string familiar_name() const;
  // name[:tag][@digest], in full and as people write it.
  std::string str() const { return name() + suffix(); }
  std::string familiar() const { return familiar_name() + suffix(); }
  bool name_only() const { return tag.empty() && digest.empty(); }

 private:
  std::string suffix() const;
};

inline constexpr std::string_view kDockerHub = "docker.io";
// Docker Hub's key in config.json and its server address.
inline constexpr std::string_view kDockerHubServer = "https://index.docker.io/v1/";

}  // namespace bryo::cli

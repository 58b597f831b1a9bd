#include "registry/certificates.hpp"

#include <dirent.h>

#include <algorithm>
#include <memory>

#include "base/error.hpp"

namespace bryo::registry {

namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

std::vector<std::string> sorted_names(DIR* directory) {
  std::vector<std::string> names;
  while (const auto* entry = ::readdir(directory)) names.emplace_back(entry->d_name);
  std::ranges::sort(names);
  return names;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::binary_search(names, name);
}

Certificates read_folder(const std::string& folder, const std::vector<std::string>& names) {
  Certificates out;
  for (const std::string& name : names) {
    if (name.ends_with(".crt")) out.authorities.push_back(folder + "/" + name);
    if (name.ends_with(".cert")) {
      const std::string key = name.substr(0, name.size() - 5) + ".key";
      if (!contains(names, key))
        fail(ErrorKind::invalid_argument,
             "missing key {} for client certificate {}. CA certificates must use the extension .crt", key, name);
      if (out.client_certificate.empty()) {
        out.client_certificate = folder + "/" + name;
        out.client_key = folder + "/" + key;
      }
    }
    if (name.ends_with(".key") && !contains(names, name.substr(0, name.size() - 4) + ".cert"))
      fail(ErrorKind::invalid_argument, "missing client certificate {}.cert for key {}",
           name.substr(0, name.size() - 4), name);
  }
  return out;
}

}  // namespace

Certificates find_certificates(const std::vector<std::string>& directories, const Origin& origin) {
  if (origin.scheme != "https") return {};
  const std::string with_port = origin.host + ":" + std::to_string(origin.port);
  for (const std::string& directory : directories)
    for (const std::string& name : {origin.host_and_port(), with_port}) {
      const std::string folder = directory + "/" + name;
      const std::unique_ptr<DIR, CloseDirectory> open(::opendir(folder.c_str()));
      if (open) return read_folder(folder, sorted_names(open.get()));
    }
  return {};
}

}  // namespace bryo::registry

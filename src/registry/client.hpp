// The client of registries (OCI distribution-spec v1.1, Docker registry HTTP API v2): manifests, blobs, tags, uploads.
//
// A Client lives as long as the engine and keeps connections open for re-use. A Repository is one repository seen with
// one user's credentials during one operation; its endpoints (mirrors, https, http) are tried in order and blobs come
// from whichever has them, since every byte is checked against its digest. Both are thread-safe; calls block.
//
// The process ignores SIGPIPE, as bryod does: registries hang up in the middle of anything.
//
// Nothing a registry says is believed: documents are at most 4 MiB, digests are computed here, redirects never carry
// credentials to another origin nor lead to link-local addresses (auth.hpp, http.hpp). Errors: not_found, unauthorized,
// permission, unavailable with Docker's texts; cancelled.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/digest.hpp"
#include "base/json.hpp"
#include "oci/image.hpp"
#include "registry/credentials.hpp"
#include "registry/options.hpp"

namespace bryo::registry {

struct FetchedManifest {
  std::string bytes;
  std::string media_type;  // of the Content-Type
  Digest digest;           // of the bytes
};

// Who hashes a blob: its stream, or the caller, who does so anyway while storing it.
enum class Verify { here, by_caller };

// Opened again from the start when a request must be repeated.
using BlobOpener = std::function<std::unique_ptr<ByteSource>()>;

class Repository {
 public:
  ~Repository();
  Repository(Repository&&) noexcept;
  Repository& operator=(Repository&&) noexcept;

  // `reference` is a tag or a digest; of a digest, the bytes are checked against it. Also checked against
  // Docker-Content-Digest. Error{not_found} "manifest for x:y not found: manifest unknown: …".
  FetchedManifest manifest(std::string_view reference);
  // Content of a blob; goes on by Range after a broken connection. The last read() throws Error{invalid_argument} when
  // size or digest do not match. The Repository must outlive it. The descriptor's urls are never used (CVE-2020-15157).
  std::unique_ptr<ByteSource> blob(const oci::Descriptor& descriptor, Verify verify = Verify::here);
  // Whole, verified, at most `limit` bytes.
  std::string blob_text(const oci::Descriptor& descriptor, std::size_t limit = oci::kMaxDocumentSize);
  // Follows Link headers; at most 100000 tags.
  std::vector<std::string> tags();

  bool has_blob(const Digest& digest);
  // Asks the registry to take the blob from another of its repositories ("library/busybox").
  bool mount_blob(const Digest& digest, const std::string& from_path);
  // `size` bytes from `open`; `sent` is told the bytes so far.
  void upload_blob(const Digest& digest, std::uint64_t size, const BlobOpener& open,
                   const std::function<void(std::uint64_t)>& sent);
  // Returns the digest the registry reports, which is the bytes' own.
  Digest put_manifest(std::string_view reference, std::string_view media_type, std::string_view bytes);

 private:
  friend class Client;
  struct State;
  explicit Repository(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct RepositoryRequest {
  std::string domain;      // "docker.io", "127.0.0.1:5000"
  std::string path;        // "library/busybox"
  std::string shown_name;  // for messages: "busybox"
  Credentials credentials;
  bool push = false;                   // asks for push,pull; never goes to mirrors
  std::vector<std::string> also_pull;  // other repositories of this registry, for mount_blob
  Cancelled cancelled;
};

struct LoginResult {
  std::string status = "Login Succeeded";
  Secret identity_token;
};

class Client {
 public:
  explicit Client(RegistryOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Repository repository(RepositoryRequest request);
  // POST /auth: does the registry take these credentials? Error{unauthorized} with the registry's text.
  LoginResult login(const Credentials& credentials, const Cancelled& cancelled = {});
  // `docker info`'s RegistryConfig: InsecureRegistryCIDRs, IndexConfigs, Mirrors.
  json::Value describe() const;
  // --insecure-registry and --registry-mirror of a reload; operations under way keep theirs.
  void reload(RegistryOptions options);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace bryo::registry

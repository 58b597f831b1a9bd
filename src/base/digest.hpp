// Content digests of the OCI image spec (descriptor.md, "Digests"): algorithm ":" encoded. Only sha256 is accepted; the
// constructor validates, so a Digest can be used as a file name without another look (CVE-2024-3727).
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bryo {

class Digest {
 public:
  // Empty digest: only to be assigned to.
  Digest() = default;
  // "sha256:" and 64 lower-case hex digits; throws Error{invalid_argument} otherwise.
  static Digest parse(std::string_view text);
  static std::optional<Digest> try_parse(std::string_view text);
  static Digest of(std::string_view bytes);

  bool empty() const { return hex_.empty(); }
  const std::string& hex() const { return hex_; }
  std::string str() const { return hex_.empty() ? std::string() : "sha256:" + hex_; }
  // First twelve hex digits, as clients print them.
  std::string short_id() const { return hex_.substr(0, 12); }
  auto operator<=>(const Digest&) const = default;

 private:
  friend class Sha256;
  std::string hex_;
};

// Streaming SHA-256 (OpenSSL EVP, SHA-NI where the processor has it).
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(std::span<const std::byte> bytes);
  void update(std::string_view bytes) { update(std::as_bytes(std::span(bytes))); }
  // Ends the stream; the object may not be updated afterwards.
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// 64 hex digits from the kernel's random generator: ids of containers, networks, execs.
std::string random_hex_id();

}  // namespace bryo

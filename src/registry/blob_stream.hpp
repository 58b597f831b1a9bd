// The bytes of one blob, from whichever endpoint has it, across broken connections. Private to registry/.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/bytes.hpp"
#include "oci/image.hpp"
#include "registry/session.hpp"

namespace bryo::registry {

class BlobStream final : public ByteSource {
 public:
  // `verify`: hash the bytes here; otherwise only their number is checked.
  BlobStream(std::vector<Session*> sessions, std::string path, oci::Descriptor descriptor, bool verify,
             int max_attempts);
  // Opens the stream now, so that "not found" is known before the first read.
  void open();
  std::size_t read(std::span<std::byte> into) override;

 private:
  void open_at(Session& session);
  void skip(std::uint64_t count);
  void take(std::span<const std::byte> bytes);
  void retry_or_throw(const TransportError& error);
  std::size_t finish();

  const std::vector<Session*> sessions_;
  const std::string path_;  // "/v2/library/busybox/blobs/sha256:…"
  const oci::Descriptor descriptor_;
  const bool verify_;
  const int max_attempts_;
  Sha256 sha_;
  bool finished_ = false;
  std::size_t session_ = 0;
  int attempt_ = 0;
  std::uint64_t offset_ = 0;
  std::uint64_t broken_at_ = 0;
  std::unique_ptr<HttpResponse> response_;
};

}  // namespace bryo::registry

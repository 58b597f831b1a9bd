#include "registry/blob_stream.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "registry/registry_error.hpp"

namespace bryo::registry {

namespace {

constexpr std::uint64_t kProgress = 64U << 10;  // after so many bytes the count of tries begins anew

// First byte of "bytes 100-199/200"; nullopt when it is not that.
std::optional<std::uint64_t> range_start(std::string_view header) {
  if (!header.starts_with("bytes ")) return std::nullopt;
  header.remove_prefix(6);
  const auto pair = split_once(header, '-');
  return pair ? parse_integer<std::uint64_t>(pair->first) : std::nullopt;
}

}  // namespace

BlobStream::BlobStream(std::vector<Session*> sessions, std::string path, oci::Descriptor descriptor, bool verify,
                       int max_attempts)
    : sessions_(std::move(sessions)),
      path_(std::move(path)),
      descriptor_(std::move(descriptor)),
      verify_(verify),
      max_attempts_(max_attempts) {}

void BlobStream::open() {
  for (;; ++session_) {
    const bool last = session_ + 1 == sessions_.size();
    try {
      open_at(*sessions_[session_]);
      return;
    } catch (const TransportError& error) {
      if (last) throw;
      log::info("blob {}: {}; the next endpoint is asked", descriptor_.digest.short_id(), error.message());
    } catch (const Error& error) {
      if (last || error.kind() == ErrorKind::cancelled || !sessions_[session_]->endpoint().mirror) throw;
      log::info("blob {}: {}; the next endpoint is asked", descriptor_.digest.short_id(), error.message());
    }
  }
}

void BlobStream::open_at(Session& session) {
  SessionRequest request;
  request.url = session.at(path_);
  request.headers.emplace_back("Accept-Encoding", "identity");
  if (offset_ > 0) request.headers.emplace_back("Range", fmt::format("bytes={}-", offset_));
  auto response = session.send(request);
  const bool partial = response->status() == 206;
  if (response->status() != 200 && !(partial && offset_ > 0)) throw registry_error(*response);
  if (partial && range_start(response->header("Content-Range")) != offset_)
    fail(ErrorKind::unavailable, "blob {}: the registry sent another range than asked for", descriptor_.digest.str());
  const std::uint64_t before = partial ? offset_ : 0;
  const auto length = response->content_length();
  if (length && before + *length != static_cast<std::uint64_t>(descriptor_.size))
    fail(ErrorKind::invalid_argument, "blob {}: the registry offers {} bytes, the manifest says {}",
         descriptor_.digest.str(), before + *length, descriptor_.size);
  response_ = std::move(response);
  // A server that knows no ranges begins again; digest and size speak about the whole anyway.
  if (!partial && offset_ > 0) skip(offset_);
}

void BlobStream::skip(std::uint64_t count) {
  std::vector<std::byte> buffer(256U << 10);
  while (count > 0) {
    const std::size_t got = response_->read(std::span(buffer).first(std::min<std::uint64_t>(count, buffer.size())));
    if (got == 0) throw TransportError(Failure::broken, ErrorKind::unavailable, "unexpected EOF");
    count -= got;
  }
}

std::size_t BlobStream::read(std::span<std::byte> into) {
  while (!finished_ && !into.empty()) {
    try {
      if (!response_) open();
      const std::size_t got = response_->read(into);
      if (got == 0) return finish();
      take(into.first(got));
      return got;
    } catch (const TransportError& error) {
      retry_or_throw(error);
    }
  }
  return 0;
}

void BlobStream::take(std::span<const std::byte> bytes) {
  if (offset_ + bytes.size() > static_cast<std::uint64_t>(descriptor_.size))
    fail(ErrorKind::invalid_argument, "blob {}: more than the {} bytes that the manifest says",
         descriptor_.digest.str(), descriptor_.size);
  if (verify_) sha_.update(bytes);
  offset_ += bytes.size();
  if (offset_ - broken_at_ >= kProgress) attempt_ = 0;
}

// A connection that breaks is worth another try, and so is a registry that is away in the middle of a blob; one that
// could not be reached at all has been tried often enough by the session.
void BlobStream::retry_or_throw(const TransportError& error) {
  const bool opening = !response_;
  response_.reset();
  const bool worth = error.failure() == Failure::broken || error.failure() == Failure::refused;
  if (!worth || (opening && offset_ == 0) || ++attempt_ >= max_attempts_) throw error;
  broken_at_ = offset_;
  log::info("blob {}: {}; going on at byte {}", descriptor_.digest.short_id(), error.message(), offset_);
  session_ = std::min(session_, sessions_.size() - 1);
  sessions_[session_]->pause(attempt_);
}

std::size_t BlobStream::finish() {
  if (offset_ < static_cast<std::uint64_t>(descriptor_.size))
    throw TransportError(Failure::broken, ErrorKind::unavailable,
                         fmt::format("blob {}: unexpected EOF after {} of {} bytes", descriptor_.digest.str(), offset_,
                                     descriptor_.size));
  finished_ = true;
  response_.reset();
  if (verify_ && sha_.finish() != descriptor_.digest)
    fail(ErrorKind::invalid_argument, "filesystem layer verification failed for digest {}", descriptor_.digest.str());
  return 0;
}

}  // namespace bryo::registry

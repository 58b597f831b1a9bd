#include "base/error.hpp"
#include "base/strings.hpp"
#include "registry/client.hpp"
#include "registry/registry_error.hpp"
#include "registry/repository_state.hpp"

namespace bryo::registry {

namespace {

// Counts what libcurl takes, on its way out.
class CountingSource final : public ByteSource {
 public:
  CountingSource(ByteSource& source, const std::function<void(std::uint64_t)>& sent) : source_(source), sent_(sent) {}
  std::size_t read(std::span<std::byte> into) override {
    const std::size_t got = source_.read(into);
    total_ += got;
    if (sent_ && got > 0) sent_(total_);
    return got;
  }

 private:
  ByteSource& source_;
  const std::function<void(std::uint64_t)>& sent_;
  std::uint64_t total_ = 0;
};

[[noreturn]] void throw_refusal(HttpResponse& response) { throw registry_error(response); }

// An empty request, such as the one that opens an upload.
SessionRequest empty_post(Url url) {
  SessionRequest request;
  request.method = "POST";
  request.url = std::move(url);
  return request;
}

void send_bytes(Session& session, Url& location, std::uint64_t size, ByteSource& body) {
  SessionRequest request;
  request.method = "PATCH";
  request.url = location;
  request.headers.emplace_back("Content-Type", "application/octet-stream");
  request.body = &body;
  request.body_size = size;
  const auto response = session.send(request);
  if (response->status() != 202 && response->status() != 204 && response->status() != 201) throw_refusal(*response);
  if (!response->header("Location").empty()) location = session.follow_location(location, *response);
}

void close_upload(Session& session, const Url& location, const Digest& digest) {
  SessionRequest request;
  request.method = "PUT";
  request.url = location.with_query("digest", digest.str());
  request.headers.emplace_back("Content-Type", "application/octet-stream");
  const auto response = session.send(request);
  if (response->status() != 201 && response->status() != 204) throw_refusal(*response);
}

}  // namespace

bool Repository::has_blob(const Digest& digest) {
  bool found = false;
  state_->on_each([&](Session& session) {
    SessionRequest request;
    request.method = "HEAD";
    request.url = session.at(state_->path("/blobs/" + digest.str()));
    const auto response = session.send(request);
    found = response->status() == 200;
    if (!found && response->status() != 404) throw_refusal(*response);
  });
  return found;
}

bool Repository::mount_blob(const Digest& digest, const std::string& from_path) {
  bool mounted = false;
  state_->on_each([&](Session& session) {
    const Url start =
        session.at(state_->path("/blobs/uploads/")).with_query("mount", digest.str()).with_query("from", from_path);
    const auto response = session.send(empty_post(start));
    mounted = response->status() == 201;
    // 202: an upload was opened instead; the registry drops it after a while. Anything else: not mounted, no harm.
  });
  return mounted;
}

// An upload is one conversation: broken in the middle, it is begun again as a whole by the caller.
void Repository::upload_blob(const Digest& digest, std::uint64_t size, const BlobOpener& open,
                             const std::function<void(std::uint64_t)>& sent) {
  state_->on_each([&](Session& session) {
    const Url start = session.at(state_->path("/blobs/uploads/"));
    Url location = start;
    {
      const auto response = session.send(empty_post(start));
      if (response->status() != 202) throw_refusal(*response);
      location = session.follow_location(start, *response);
    }
    const auto source = open();
    CountingSource counting(*source, sent);
    send_bytes(session, location, size, counting);
    close_upload(session, location, digest);
  });
}

Digest Repository::put_manifest(std::string_view reference, std::string_view media_type, std::string_view bytes) {
  const Digest digest = Digest::of(bytes);
  state_->on_each([&](Session& session) {
    SessionRequest request;
    request.method = "PUT";
    request.url = session.at(state_->path("/manifests/") + std::string(reference));
    request.headers.emplace_back("Content-Type", std::string(media_type));
    request.text = bytes;
    const auto response = session.send(request);
    if (response->status() != 201 && response->status() != 200) throw_refusal(*response);
    const auto said = Digest::try_parse(response->header("Docker-Content-Digest"));
    if (said && *said != digest)
      fail(ErrorKind::unavailable, "push of {}: the registry stored {} instead of {}", reference, said->str(),
           digest.str());
  });
  return digest;
}

}  // namespace bryo::registry

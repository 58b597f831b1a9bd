#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "registry/blob_stream.hpp"
#include "registry/client.hpp"
#include "registry/registry_error.hpp"
#include "registry/repository_state.hpp"

namespace bryo::registry {

namespace {

constexpr std::size_t kMaxTags = 100000;
constexpr std::size_t kMaxTagPage = 4U << 20;

struct TagPage {
  std::vector<std::string> tags;
};

std::vector<std::pair<std::string, std::string>> accept_manifests() {
  std::string list;
  for (const std::string_view type :
       {oci::media::kOciIndex, oci::media::kDockerList, oci::media::kOciManifest, oci::media::kDockerManifest})
    list += (list.empty() ? "" : ", ") + std::string(type);
  return {{"Accept", list}, {"Accept-Encoding", "identity"}};
}

// Docker's names for the refusals that people meet.
[[noreturn]] void throw_manifest_refusal(HttpResponse& response, const std::string& name, std::string_view reference) {
  const Refusal refusal = read_refusal(response);
  const char separator = Digest::try_parse(reference) ? '@' : ':';
  switch (refusal.code) {
    case RefusalCode::denied:
      fail(ErrorKind::not_found,
           "pull access denied for {}, repository does not exist or may require 'docker login': {}", name,
           refusal.text);
    case RefusalCode::manifest_unknown:
      fail(ErrorKind::not_found, "manifest for {}{}{} not found: {}", name, separator, reference, refusal.text);
    case RefusalCode::name_unknown:
      fail(ErrorKind::not_found, "repository {} not found: {}", name, refusal.text);
    default:
      break;
  }
  if (refusal.kind == ErrorKind::not_found)
    fail(ErrorKind::not_found, "manifest for {}{}{} not found: {}", name, separator, reference, refusal.text);
  throw Error(refusal.kind, refusal.text);
}

void check_digests(const FetchedManifest& manifest, std::string_view reference, const HttpResponse& response) {
  const auto asked = Digest::try_parse(reference);
  const auto said = Digest::try_parse(response.header("Docker-Content-Digest"));
  if ((asked && *asked != manifest.digest) || (said && *said != manifest.digest))
    fail(ErrorKind::invalid_argument, "manifest verification failed for digest {}", asked ? asked->str() : said->str());
}

// The target of rel="next" in a Link header (RFC 8288), "" when there is none.
std::string next_link(const HttpResponse& response) {
  for (const std::string& header : response.headers("Link")) {
    const auto open = header.find('<');
    const auto close = header.find('>');
    const bool next = header.find("rel=\"next\"") != std::string::npos || header.find("rel=next") != std::string::npos;
    if (next && open != std::string::npos && close != std::string::npos && open < close)
      return header.substr(open + 1, close - open - 1);
  }
  return {};
}

}  // namespace

}  // namespace bryo::registry

template <>
struct bryo::json::Fields<bryo::registry::TagPage> {
  static constexpr auto list = std::tuple{field("tags", &registry::TagPage::tags)};
};

namespace bryo::registry {

std::vector<Session*> Repository::State::ordered() {
  const std::lock_guard lock(mutex);
  std::vector<Session*> out{sessions[preferred].get()};
  for (std::size_t i = 0; i < sessions.size(); ++i)
    if (i != preferred) out.push_back(sessions[i].get());
  return out;
}

void Repository::State::prefer(const Session& session) {
  const std::lock_guard lock(mutex);
  for (std::size_t i = 0; i < sessions.size(); ++i)
    if (sessions[i].get() == &session) preferred = i;
}

void Repository::State::on_each(const std::function<void(Session&)>& call) {
  std::exception_ptr refusal;
  const auto list = ordered();
  for (std::size_t i = 0; i < list.size(); ++i) {
    const bool last = i + 1 == list.size();
    try {
      call(*list[i]);
      prefer(*list[i]);
      return;
    } catch (const TransportError& error) {
      if (last && !refusal) throw;
      log::info("attempting next endpoint after error: {}", error.message());
    } catch (const Error& error) {
      // A registry that has been reached has the last word; what a mirror lacks, the registry may have.
      if (error.kind() == ErrorKind::cancelled || last || !list[i]->endpoint().mirror) throw;
      refusal = std::current_exception();
      log::info("attempting next endpoint after error: {}", error.message());
    }
  }
  std::rethrow_exception(refusal);
}

Repository::Repository(std::unique_ptr<State> state) : state_(std::move(state)) {}
Repository::~Repository() {
  if (state_) state_->http->close_idle();
}
Repository::Repository(Repository&&) noexcept = default;
Repository& Repository::operator=(Repository&&) noexcept = default;

FetchedManifest Repository::manifest(std::string_view reference) {
  FetchedManifest manifest;
  state_->on_each([&](Session& session) {
    SessionRequest request;
    request.url = session.at(state_->path("/manifests/") + std::string(reference));
    request.headers = accept_manifests();
    const auto response = session.send(request);
    if (response->status() != 200) throw_manifest_refusal(*response, state_->request.shown_name, reference);
    try {
      manifest.bytes = response->text(oci::kMaxDocumentSize);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::exhausted) throw;
      fail(ErrorKind::invalid_argument, "manifest of {}: larger than {} bytes", state_->request.shown_name,
           oci::kMaxDocumentSize);
    }
    manifest.media_type = std::string(oci::media_type_of(response->header("Content-Type")));
    manifest.digest = Digest::of(manifest.bytes);
    check_digests(manifest, reference, *response);
  });
  return manifest;
}

std::unique_ptr<ByteSource> Repository::blob(const oci::Descriptor& descriptor, Verify verify) {
  auto stream = std::make_unique<BlobStream>(state_->ordered(), state_->path("/blobs/" + descriptor.digest.str()),
                                             descriptor, verify == Verify::here, state_->options.max_attempts);
  stream->open();
  return stream;
}

std::string Repository::blob_text(const oci::Descriptor& descriptor, std::size_t limit) {
  if (descriptor.size < 0 || static_cast<std::uint64_t>(descriptor.size) > limit)
    fail(ErrorKind::invalid_argument, "blob {}: {} bytes are more than {}", descriptor.digest.str(), descriptor.size,
         limit);
  const auto stream = blob(descriptor);
  return read_all(*stream, limit);
}

std::vector<std::string> Repository::tags() {
  std::vector<std::string> out;
  state_->on_each([&](Session& session) {
    out.clear();
    SessionRequest request;
    request.url = session.at(state_->path("/tags/list"));
    for (bool more = true; more;) {
      const auto response = session.send(request);
      if (response->status() != 200) throw_manifest_refusal(*response, state_->request.shown_name, "");
      auto page = json::decode<TagPage>(json::parse(response->text(kMaxTagPage)));
      if (out.size() + page.tags.size() > kMaxTags)
        fail(ErrorKind::exhausted, "repository {}: more than {} tags", state_->request.shown_name, kMaxTags);
      const std::string next = next_link(*response);
      more = !next.empty() && !page.tags.empty();
      std::ranges::move(page.tags, std::back_inserter(out));
      if (more) request.url = request.url.resolve(next);
      if (more && request.url.origin() != session.endpoint().base.origin())
        fail(ErrorKind::unavailable, "repository {}: its list of tags goes on at another host: refused",
             state_->request.shown_name);
    }
  });
  return out;
}

}  // namespace bryo::registry

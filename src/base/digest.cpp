#include "base/digest.hpp"

#include <openssl/evp.h>
#include <sys/random.h>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo {
namespace {

constexpr std::string_view kPrefix = "sha256:";
constexpr std::size_t kHexLength = 64;

bool is_lower_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::optional<Digest> Digest::try_parse(std::string_view text) {
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  if (text.size() != kHexLength || !is_lower_hex(text)) return std::nullopt;
  Digest digest;
  digest.hex_ = text;
  return digest;
}

Digest Digest::parse(std::string_view text) {
  if (auto digest = try_parse(text)) return *std::move(digest);
  fail(ErrorKind::invalid_argument, "invalid digest \"{}\": expected sha256: and 64 lower-case hex digits",
       printable(text, 100));
}

Digest Digest::of(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() {
    if (context == nullptr || EVP_DigestInit_ex(context, EVP_sha256(), nullptr) != 1)
      fail(ErrorKind::internal, "initialise SHA-256: OpenSSL refused");
  }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  if (EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) != 1)
    fail(ErrorKind::internal, "update SHA-256: OpenSSL refused");
}

Digest Sha256::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
  unsigned int length = 0;
  if (EVP_DigestFinal_ex(state_->context, raw.data(), &length) != 1)
    fail(ErrorKind::internal, "finish SHA-256: OpenSSL refused");
  Digest digest;
  digest.hex_ = to_hex(std::as_bytes(std::span(raw.data(), length)));
  return digest;
}

std::string random_hex_id() {
  std::array<std::byte, 32> raw{};
  if (getrandom(raw.data(), raw.size(), 0) != static_cast<ssize_t>(raw.size())) fail_errno("getrandom");
  return to_hex(raw);
}

}  // namespace bryo

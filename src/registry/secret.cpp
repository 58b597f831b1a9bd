#include "registry/secret.hpp"

#include <openssl/crypto.h>

namespace bryo::registry {

void Secret::wipe() noexcept {
  // The capacity, not the length: a short string may still hold the tail of a longer one.
  text_.resize(text_.capacity());
  if (!text_.empty()) OPENSSL_cleanse(text_.data(), text_.size());
  text_.clear();
}

}  // namespace bryo::registry

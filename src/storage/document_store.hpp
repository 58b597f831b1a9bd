// Where does everything live that must survive the engine? In one SQLite file, as JSON documents named by
// (kind, scope, id). Kinds are the modules' own ("container", "image", "layer" …); the scope is "" or the directory
// name of an id map ("165536.165536").
//
// A transaction that only erases also works on a full disk: a reserve of 1 MiB beside the file is spent on it.
// put, erase and transaction return only when their changes are durable; a transaction is all or nothing. One writer
// thread takes every change that waits and commits them together (WAL, synchronous=FULL: one fsync for all), so call
// from as many threads as you like. Readers see what was committed. A second process on the same directory is refused:
// Error{conflict}. A file of a newer Bryo is refused: Error{unsupported}.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"

namespace bryo::storage {

struct DocumentKey {
  std::string kind;
  std::string scope;
  std::string id;
  auto operator<=>(const DocumentKey&) const = default;
};

struct Document {
  DocumentKey key;
  std::string text;
};

// nullopt erases; erasing what is not there is fine.
struct Change {
  DocumentKey key;
  std::optional<std::string> text;
};

class DocumentStore {
 public:
  // Opens or makes <directory>/bryo.db (0600) and locks the directory.
  explicit DocumentStore(const std::string& directory);
  ~DocumentStore();
  DocumentStore(const DocumentStore&) = delete;
  DocumentStore& operator=(const DocumentStore&) = delete;

  void put(const DocumentKey& key, std::string text);
  void erase(const DocumentKey& key);
  void transaction(std::vector<Change> changes);
  // Returns at once; `done` is called from the writer thread when the changes are durable (nullptr) or failed. It must
  // not block and not throw.
  void transaction_async(std::vector<Change> changes, std::function<void(std::exception_ptr)> done);
  // The same for what nobody waits for: committed together with the next transaction, or alone after 50 ms.
  void defer(std::vector<Change> changes, std::function<void(std::exception_ptr)> done);
  // Returns when everything that was put into the store before is durable.
  void flush() { transaction({}); }

  std::optional<std::string> get(const DocumentKey& key) const;
  // Sorted by id. Without scope: of every scope, sorted by scope, then id.
  std::vector<Document> list(std::string_view kind) const;
  std::vector<Document> list(std::string_view kind, std::string_view scope) const;

  // For structs described with json::Fields.
  template <typename T>
  void put_as(const DocumentKey& key, const T& value) {
    put(key, json::serialize(json::encode(value)));
  }
  template <typename T>
  std::optional<T> get_as(const DocumentKey& key) const {
    const auto text = get(key);
    if (!text) return std::nullopt;
    return json::decode<T>(json::parse(*text));
  }
  template <typename T>
  static Change change(DocumentKey key, const T& value) {
    return {std::move(key), json::serialize(json::encode(value))};
  }
  static Change removal(DocumentKey key) { return {std::move(key), std::nullopt}; }

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bryo::storage

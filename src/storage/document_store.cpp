#include "storage/document_store.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "kernel/files.hpp"
#include "storage/directory_lock.hpp"
#include "storage/sqlite.hpp"

namespace bryo::storage {
namespace {

constexpr int kSchemaVersion = 1;
// Pages of write-ahead log after which the idle writer folds it into the database / does so even when busy.
constexpr int kCheckpointWhenIdle = 1000;
constexpr int kCheckpointAlways = 20000;
constexpr auto kDeferred = std::chrono::milliseconds(50);

struct Pending {
  std::vector<Change> changes;
  std::function<void(std::exception_ptr)> done;
};

// SQLite gives its log and index files the permissions of the database, so that is made first.
std::string make_database_file(const std::string& directory) {
  const UniqueFd parent = kernel::open_trusted(directory, O_RDONLY | O_DIRECTORY);
  kernel::open_at(parent.get(), "bryo.db", O_RDWR | O_CREAT, 0600);
  return directory + "/bryo.db";
}

void prepare_schema(const sqlite::Connection& connection, const std::string& directory) {
  connection.execute("PRAGMA journal_mode=WAL");
  connection.execute("PRAGMA synchronous=FULL");
  connection.execute("PRAGMA wal_autocheckpoint=0");
  connection.execute("PRAGMA journal_size_limit=4194304");
  sqlite::Statement version(connection, "PRAGMA user_version");
  version.step();
  const int found = version.integer(0);
  version.reset();
  if (found == kSchemaVersion) return;
  if (found > kSchemaVersion)
    fail(ErrorKind::unsupported,
         "data root {} was written by a newer Bryo (format {}, this one knows {}): use that one", directory, found,
         kSchemaVersion);
  connection.execute(
      "BEGIN IMMEDIATE;"
      "CREATE TABLE IF NOT EXISTS documents(kind TEXT NOT NULL, scope TEXT NOT NULL, id TEXT NOT NULL,"
      " text TEXT NOT NULL, PRIMARY KEY(kind, scope, id)) WITHOUT ROWID;"
      "PRAGMA user_version=1;"
      "COMMIT");
}

// The connection that writes, used by the writer thread only.
class Writer {
 public:
  explicit Writer(const std::string& path)
      : connection_(path),
        put_(connection_,
             "INSERT INTO documents(kind, scope, id, text) VALUES(?1, ?2, ?3, ?4)"
             " ON CONFLICT(kind, scope, id) DO UPDATE SET text=excluded.text"),
        erase_(connection_, "DELETE FROM documents WHERE kind=?1 AND scope=?2 AND id=?3") {
    connection_.execute("PRAGMA synchronous=FULL");
    connection_.execute("PRAGMA wal_autocheckpoint=0");
    sqlite3_wal_hook(
        connection_.get(),
        [](void* self, sqlite3*, const char*, int pages) {
          static_cast<Writer*>(self)->log_pages_ = pages;
          return SQLITE_OK;
        },
        this);
  }

  void commit(std::span<Pending* const> batch) {
    connection_.execute("BEGIN IMMEDIATE");
    try {
      for (const Pending* pending : batch)
        for (const Change& change : pending->changes) apply(change);
      connection_.execute("COMMIT");
    } catch (...) {
      if (sqlite3_get_autocommit(connection_.get()) == 0)
        sqlite3_exec(connection_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
      throw;
    }
  }

  void checkpoint(bool idle) {
    if (log_pages_ < (idle ? kCheckpointWhenIdle : kCheckpointAlways)) return;
    sqlite3_wal_checkpoint_v2(connection_.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    log_pages_ = 0;
  }

 private:
  void apply(const Change& change) {
    auto& statement = change.text ? put_ : erase_;
    statement.bind(1, change.key.kind).bind(2, change.key.scope).bind(3, change.key.id);
    if (change.text) statement.bind(4, *change.text);
    statement.run();
  }

  sqlite::Connection connection_;
  sqlite::Statement put_;
  sqlite::Statement erase_;
  int log_pages_ = 0;
};

// Disk space kept for the moment when there is none left: what removes may always be written, or a full disk could
// never be emptied. Used by the writer thread only.
class Reserve {
 public:
  explicit Reserve(const std::string& directory) : directory_(kernel::open_trusted(directory, O_RDONLY | O_DIRECTORY)) {
    keep();
  }

  // Takes the space back when there is some again.
  void keep() {
    if (kept_) return;
    try {
      const UniqueFd file = kernel::open_at(directory_.get(), kName, O_WRONLY | O_CREAT, 0600);
      kept_ = ::fallocate(file.get(), 0, 0, kBytes) == 0 || errno == EOPNOTSUPP;
    } catch (const Error&) {
      kept_ = false;
    }
    if (!kept_) ::unlinkat(directory_.get(), kName, 0);
  }

  // False when it has been spent already.
  bool spend() {
    ::unlinkat(directory_.get(), kName, 0);
    return std::exchange(kept_, false);
  }

 private:
  static constexpr const char* kName = "bryo.reserve";
  static constexpr off_t kBytes = 1 << 20;
  UniqueFd directory_;
  bool kept_ = false;
};

bool only_removes(std::span<Pending* const> some) {
  return std::all_of(some.begin(), some.end(), [](const Pending* pending) {
    return std::none_of(pending->changes.begin(), pending->changes.end(),
                        [](const Change& change) { return change.text.has_value(); });
  });
}

Document document_of(const sqlite::Statement& row) {
  return {{row.column(0), row.column(1), row.column(2)}, row.column(3)};
}

}  // namespace

class DocumentStore::Impl {
 public:
  explicit Impl(const std::string& directory)
      : lock_(lock_directory(directory, "bryo.lock")),
        path_(make_database_file(directory)),
        reader_(path_),
        prepared_((prepare_schema(reader_, directory), true)),
        get_(reader_, "SELECT text FROM documents WHERE kind=?1 AND scope=?2 AND id=?3"),
        list_(reader_, "SELECT kind, scope, id, text FROM documents WHERE kind=?1 ORDER BY scope, id"),
        list_scope_(reader_, "SELECT kind, scope, id, text FROM documents WHERE kind=?1 AND scope=?2 ORDER BY id"),
        writer_(path_),
        reserve_(directory),
        thread_([this] { write_loop(); }) {}

  ~Impl() {
    {
      const std::lock_guard lock(queue_mutex_);
      stopping_ = true;
    }
    queue_changed_.notify_all();
    thread_.join();
  }

  void enqueue(Pending pending, bool urgent) {
    bool wake = urgent;
    {
      const std::lock_guard lock(queue_mutex_);
      if (queue_.empty()) {
        due_ = std::chrono::steady_clock::now() + kDeferred;
        wake = true;
      }
      queue_.push_back(std::move(pending));
      urgent_ = urgent_ || urgent;
    }
    if (wake) queue_changed_.notify_one();
  }

  std::optional<std::string> get(const DocumentKey& key) {
    const std::lock_guard lock(reader_mutex_);
    get_.bind(1, key.kind).bind(2, key.scope).bind(3, key.id);
    std::optional<std::string> text;
    if (get_.step()) text = get_.column(0);
    get_.reset();
    return text;
  }

  std::vector<Document> list(std::string_view kind, const std::string_view* scope) {
    const std::lock_guard lock(reader_mutex_);
    auto& statement = scope != nullptr ? list_scope_ : list_;
    statement.bind(1, kind);
    if (scope != nullptr) statement.bind(2, *scope);
    std::vector<Document> documents;
    while (statement.step()) documents.push_back(document_of(statement));
    statement.reset();
    return documents;
  }

 private:
  void write_loop() {
    for (;;) {
      std::deque<Pending> batch;
      {
        std::unique_lock lock(queue_mutex_);
        queue_changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        queue_changed_.wait_until(lock, due_, [&] { return stopping_ || urgent_; });
        batch.swap(queue_);
        urgent_ = false;
      }
      commit(batch);
      const std::unique_lock lock(queue_mutex_);
      const bool idle = queue_.empty();
      // Held on purpose when idle: nothing waits, and who comes now waits for the log to be folded, not for a lock.
      writer_.checkpoint(idle);
    }
  }

  // All in one commit; when that fails, each alone, so that one caller's failure is not everybody's.
  void commit(std::deque<Pending>& batch) {
    std::vector<Pending*> all;
    for (Pending& pending : batch) all.push_back(&pending);
    if (commit_some(all, batch.size() == 1)) return;
    for (Pending* pending : all) commit_some(std::span(&pending, 1), true);
  }

  bool commit_some(std::span<Pending* const> some, bool report_failure) {
    std::exception_ptr failure;
    try {
      writer_.commit(some);
      reserve_.keep();
    } catch (...) {
      failure = std::current_exception();
      if (!report_failure) return false;
      if (only_removes(some) && reserve_.spend()) return commit_some(some, true);
    }
    for (Pending* pending : some) pending->done(failure);
    return true;
  }

  const UniqueFd lock_;
  const std::string path_;

  std::mutex reader_mutex_;
  sqlite::Connection reader_;  // this and the statements: guarded by reader_mutex_
  const bool prepared_;
  sqlite::Statement get_;
  sqlite::Statement list_;
  sqlite::Statement list_scope_;

  Writer writer_;  // this and the reserve: the thread's own
  Reserve reserve_;

  std::mutex queue_mutex_;
  std::condition_variable queue_changed_;
  std::deque<Pending> queue_;                  // guarded by queue_mutex_
  bool urgent_ = false;                        // guarded by queue_mutex_: somebody waits
  bool stopping_ = false;                      // guarded by queue_mutex_
  std::chrono::steady_clock::time_point due_;  // guarded by queue_mutex_: of the first that was deferred
  std::thread thread_;
};

DocumentStore::DocumentStore(const std::string& directory) : impl_(std::make_unique<Impl>(directory)) {}
DocumentStore::~DocumentStore() = default;

void DocumentStore::put(const DocumentKey& key, std::string text) { transaction({{key, std::move(text)}}); }

void DocumentStore::erase(const DocumentKey& key) { transaction({{key, std::nullopt}}); }

void DocumentStore::transaction(std::vector<Change> changes) {
  std::promise<void> promise;
  auto durable = promise.get_future();
  transaction_async(std::move(changes), [&promise](std::exception_ptr failure) {
    if (failure)
      promise.set_exception(std::move(failure));
    else
      promise.set_value();
  });
  durable.get();
}

void DocumentStore::transaction_async(std::vector<Change> changes, std::function<void(std::exception_ptr)> done) {
  impl_->enqueue({std::move(changes), std::move(done)}, true);
}

void DocumentStore::defer(std::vector<Change> changes, std::function<void(std::exception_ptr)> done) {
  impl_->enqueue({std::move(changes), std::move(done)}, false);
}

std::optional<std::string> DocumentStore::get(const DocumentKey& key) const { return impl_->get(key); }

std::vector<Document> DocumentStore::list(std::string_view kind) const { return impl_->list(kind, nullptr); }

std::vector<Document> DocumentStore::list(std::string_view kind, std::string_view scope) const {
  return impl_->list(kind, &scope);
}

}  // namespace bryo::storage

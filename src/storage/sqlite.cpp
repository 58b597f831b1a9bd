#include "storage/sqlite.hpp"

namespace bryo::storage::sqlite {
namespace {

// Small rows, read once: what SQLite would keep for itself (2 MB of pages, of which 80 kB at once, and 60 kB of small
// blocks), the kernel keeps, too.
constexpr const char* kSmallCache = "PRAGMA cache_size=-64";

void want_no_page_cache_in_advance() {
  static const int once = sqlite3_config(SQLITE_CONFIG_PAGECACHE, nullptr, 0, 0);
  static_cast<void>(once);
}

}  // namespace

Connection::Connection(const std::string& path) : path_(path) {
  want_no_page_cache_in_advance();
  sqlite3* handle = nullptr;
  const int result =
      sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  handle_.reset(handle);
  if (result != SQLITE_OK) fail_last("open");
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_LOOKASIDE, nullptr, 0, 0);
  sqlite3_exec(handle, kSmallCache, nullptr, nullptr, nullptr);
  sqlite3_busy_timeout(handle, 10'000);
}

void Connection::execute(const char* sql) const {
  if (sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail_last(sql);
}

void Connection::fail_last(std::string_view what) const {
  const int code = handle_ ? sqlite3_errcode(handle_.get()) : SQLITE_NOMEM;
  const char* reason = handle_ ? sqlite3_errmsg(handle_.get()) : "out of memory";
  switch (code & 0xff) {
    case SQLITE_FULL:
      fail(ErrorKind::exhausted, "{} {}: no space left on device: remove images or volumes, or enlarge the disk", what,
           path_);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      fail(ErrorKind::internal, "{} {}: the database is damaged ({}): restore it from a backup, or move it away", what,
           path_, reason);
    case SQLITE_BUSY:
      fail(ErrorKind::unavailable, "{} {}: {}", what, path_, reason);
    default:
      fail(ErrorKind::internal, "{} {}: {}", what, path_, reason);
  }
}

Statement::Statement(const Connection& connection, const char* sql) : connection_(connection) {
  sqlite3_stmt* handle = nullptr;
  if (sqlite3_prepare_v3(connection.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, nullptr) != SQLITE_OK)
    connection.fail_last("prepare");
  handle_.reset(handle);
}

Statement& Statement::bind(int index, std::string_view text) {
  // A null pointer would bind NULL; the destructor argument 0 (SQLITE_STATIC) means: not copied.
  const char* data = text.data() == nullptr ? "" : text.data();
  if (sqlite3_bind_text64(handle_.get(), index, data, text.size(), nullptr, SQLITE_UTF8) != SQLITE_OK)
    connection_.fail_last("bind");
  return *this;
}

bool Statement::step() {
  const int result = sqlite3_step(handle_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  sqlite3_reset(handle_.get());
  connection_.fail_last("run");
}

void Statement::run() {
  step();
  reset();
}

std::string Statement::column(int index) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(handle_.get(), index));
  const int size = sqlite3_column_bytes(handle_.get(), index);
  return text == nullptr ? std::string() : std::string(text, static_cast<std::size_t>(size));
}

void Statement::reset() {
  sqlite3_reset(handle_.get());
  sqlite3_clear_bindings(handle_.get());
}

}  // namespace bryo::storage::sqlite

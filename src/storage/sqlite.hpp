// SQLite's C interface with owners and errors: a connection and a prepared statement. One thread at a time each.
#pragma once

#include <sqlite3.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace bryo::storage::sqlite {

class Connection {
 public:
  explicit Connection(const std::string& path);
  sqlite3* get() const { return handle_.get(); }
  void execute(const char* sql) const;
  // Throws what the last failed call on this connection means.
  [[noreturn]] void fail_last(std::string_view what) const;

 private:
  struct Close {
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
  };
  std::unique_ptr<sqlite3, Close> handle_;
  std::string path_;
};

// Texts bound must live until the statement was stepped.
class Statement {
 public:
  Statement(const Connection& connection, const char* sql);
  Statement& bind(int index, std::string_view text);
  // true: a row is there.
  bool step();
  // For statements without rows.
  void run();
  std::string column(int index) const;
  int integer(int index) const { return sqlite3_column_int(handle_.get(), index); }
  void reset();

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const { sqlite3_finalize(handle); }
  };
  const Connection& connection_;
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

}  // namespace bryo::storage::sqlite

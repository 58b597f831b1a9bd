#include "storage/document_store.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "base/error.hpp"
#include "kernel/files.hpp"
#include "storage/sqlite.hpp"

namespace bryo::storage {
namespace {

class Documents : public ::testing::Test {
 protected:
  Documents() {
    char name[] = "/tmp/bryo-documents-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~Documents() override { std::filesystem::remove_all(directory_); }
  std::string directory_;
};

TEST_F(Documents, WhatWasPutIsThereAfterReopening) {
  {
    DocumentStore store(directory_);
    store.put({"image", "", "b"}, "{\"n\":2}");
    store.put({"image", "", "a"}, "{\"n\":1}");
    store.put({"image", "1.1", "c"}, "{}");
    store.put({"volume", "", "a"}, "{}");
    store.put({"image", "", "a"}, "{\"n\":3}");
    store.erase({"volume", "", "a"});
  }
  const DocumentStore store(directory_);
  EXPECT_EQ(store.get({"image", "", "a"}), "{\"n\":3}");
  EXPECT_EQ(store.get({"volume", "", "a"}), std::nullopt);
  const auto images = store.list("image", "");
  ASSERT_EQ(images.size(), 2U);
  EXPECT_EQ(images[0].key.id, "a");
  EXPECT_EQ(store.list("image").size(), 3U);
}

TEST_F(Documents, ATransactionIsAllOrNothing) {
  DocumentStore store(directory_);
  const sqlite::Connection other(directory_ + "/bryo.db");
  other.execute(
      "CREATE TRIGGER refuse BEFORE INSERT ON documents WHEN new.id='bad' BEGIN SELECT RAISE(FAIL,'no'); END");
  EXPECT_THROW(store.transaction({{{"k", "", "good"}, "1"}, {{"k", "", "bad"}, "2"}}), Error);
  EXPECT_EQ(store.get({"k", "", "good"}), std::nullopt);
  store.put({"k", "", "good"}, "1");
  EXPECT_EQ(store.get({"k", "", "good"}), "1");
}

TEST_F(Documents, OneCallersFailureIsNotTheOthers) {
  DocumentStore store(directory_);
  const sqlite::Connection other(directory_ + "/bryo.db");
  other.execute(
      "CREATE TRIGGER refuse BEFORE INSERT ON documents WHEN new.id='bad' BEGIN SELECT RAISE(FAIL,'no'); END");
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 32; ++i)
    threads.emplace_back([&, i] {
      try {
        store.put({"k", "", i % 8 == 0 ? "bad" : std::to_string(i)}, "x");
      } catch (const Error&) {
        ++failed;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failed, 4);
  EXPECT_EQ(store.list("k").size(), 28U);
}

TEST_F(Documents, AThousandConcurrentPutsShareCommits) {
  DocumentStore store(directory_);
  std::atomic<int> next = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 50; ++t)
    threads.emplace_back([&] {
      for (int i = next++; i < 1000; i = next++) store.put({"k", "", std::to_string(i)}, "value " + std::to_string(i));
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(store.list("k").size(), 1000U);
  EXPECT_EQ(store.get({"k", "", "777"}), "value 777");
}

TEST_F(Documents, ASecondEngineOnTheSameDataRootIsRefused) {
  const DocumentStore store(directory_);
  try {
    const DocumentStore second(directory_);
    FAIL() << "two engines on one data root";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::conflict);
    EXPECT_NE(error.message().find(std::to_string(::getpid())), std::string::npos) << error.message();
  }
}

TEST_F(Documents, AFileOfANewerBryoIsRefused) {
  { const DocumentStore store(directory_); }
  { sqlite::Connection(directory_ + "/bryo.db").execute("PRAGMA user_version=99"); }
  try {
    const DocumentStore store(directory_);
    FAIL() << "opened a newer format";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
  }
}

TEST_F(Documents, FilesAreClosedToOthers_CVE_2021_41091) {
  DocumentStore store(directory_);
  store.put({"k", "", "a"}, "x");
  for (const auto& entry : std::filesystem::directory_iterator(directory_))
    EXPECT_EQ(kernel::stat_at(AT_FDCWD, entry.path().string()).st_mode & 077U, 0U) << entry.path();
}

// A child acknowledges every put on a pipe and is killed: each acknowledged value must be there.
TEST_F(Documents, WhatWasAcknowledgedSurvivesKill) {
  for (int round = 0; round < 5; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      DocumentStore store(directory_);
      for (std::uint32_t i = 0;; ++i) {
        store.put({"k", std::to_string(round), std::to_string(i)}, "x");
        if (::write(ends[1], &i, sizeof i) != sizeof i) ::_exit(1);
      }
    }
    ::close(ends[1]);
    std::uint32_t last = 0;
    for (int i = 0; i < 20 + round; ++i) ASSERT_EQ(::read(ends[0], &last, sizeof last), ssize_t{sizeof last});
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(ends[0], &last, sizeof last) == ssize_t{sizeof last}) {
    }
    ::close(ends[0]);
    const DocumentStore store(directory_);
    for (std::uint32_t i = 0; i <= last; ++i)
      ASSERT_TRUE(store.get({"k", std::to_string(round), std::to_string(i)})) << i;
  }
}

}  // namespace
}  // namespace bryo::storage

#include "storage/blob_store.hpp"

#include <signal.h>
#include <sys/wait.h>

#include <thread>

#include "base/error.hpp"
#include "storage/store_test_support.hpp"

namespace bryo::storage {
namespace {

using Blobs = test::Store;
namespace fs = std::filesystem;

TEST_F(Blobs, WhatIsPutIsReadAlsoAfterAReopening) {
  const BlobInfo blob = blobs_->put("hello");
  EXPECT_EQ(blob.digest, Digest::of("hello"));
  reopen();
  ASSERT_TRUE(blobs_->has(blob.digest));
  EXPECT_EQ(blobs_->read_text(blob.digest, 100), "hello");
  EXPECT_EQ(read_all(*blobs_->read(blob.digest), 100), "hello");
  EXPECT_THROW(blobs_->read_text(blob.digest, 4), Error);
  EXPECT_THROW(blobs_->open(Digest::of("other")), Error);
  blobs_->remove(blob.digest);
  blobs_->remove(blob.digest);
  EXPECT_FALSE(blobs_->has(blob.digest));
  EXPECT_TRUE(fs::is_empty(base_ / "root/blobs/sha256"));
}

TEST_F(Blobs, CVE_2014_8179_WrongBytesAreNeverReachable) {
  const Digest expected = Digest::of("right");
  {
    auto writer = blobs_->writer();
    writer.ByteSink::write("wrong");
    EXPECT_THROW(writer.finish(expected), Error);
  }
  {
    auto writer = blobs_->writer();
    writer.ByteSink::write("right");
    EXPECT_THROW(writer.finish(expected, 4), Error);
  }
  EXPECT_FALSE(blobs_->has(expected));
  EXPECT_FALSE(blobs_->has(Digest::of("wrong")));
  EXPECT_TRUE(clean());
  EXPECT_TRUE(fs::is_empty(base_ / "root/blobs/sha256"));
}

TEST_F(Blobs, AbandonedWritersLeaveNothing) {
  { blobs_->writer().ByteSink::write("half"); }
  EXPECT_TRUE(clean());
}

TEST_F(Blobs, LaterMeansAfterTheCallersRecord) {
  const BlobInfo kept = blobs_->put("kept", Durability::later);
  const BlobInfo lost = blobs_->put("lost", Durability::later);
  EXPECT_TRUE(blobs_->has(lost.digest));
  root_->sync();
  documents_->transaction({blobs_->record_of(kept)});
  reopen();
  EXPECT_TRUE(blobs_->has(kept.digest));
  EXPECT_FALSE(blobs_->has(lost.digest));
  EXPECT_TRUE(clean());
  EXPECT_FALSE(fs::exists(base_ / "root/blobs/sha256" / lost.digest.hex()));
}

TEST_F(Blobs, DamageOnDiskIsNoticed) {
  const BlobInfo cut = blobs_->put("some bytes");
  const BlobInfo flipped = blobs_->put("other bytes");
  close();
  fs::resize_file(base_ / "root/blobs/sha256" / cut.digest.hex(), 3);
  std::ofstream(base_ / "root/blobs/sha256" / flipped.digest.hex()) << "OTHER bytes";
  reopen();
  EXPECT_FALSE(blobs_->has(cut.digest)) << "cut short: to be fetched again";
  EXPECT_THROW(blobs_->read_text(flipped.digest, 100), Error);
}

TEST_F(Blobs, ManyWritersOfTheSame) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i)
    threads.emplace_back(
        [&, i] { blobs_->put(i % 2 == 0 ? "even" : "odd", i % 3 == 0 ? Durability::now : Durability::later); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(blobs_->list().size(), 2U);
  EXPECT_TRUE(clean());
}

TEST_F(Blobs, KilledAtAnyStepABlobIsWholeOrNotThere) {
  close();
  const std::string text(100'000, 'b');
  for (int step = 0; step < 10; ++step) {
    const pid_t child = ::fork();
    if (child == 0) {
      DataRoot root((base_ / "root").string());
      int count = 0;
      root.set_step_hook([&](std::string_view) {
        if (count++ == step) ::kill(::getpid(), SIGKILL);
      });
      DocumentStore documents(root.path());
      BlobStore blobs(root, documents);
      blobs.remove(blobs.put(text).digest);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    reopen();
    for (const BlobInfo& blob : blobs_->list()) {
      EXPECT_EQ(blobs_->read_text(blob.digest, 1U << 20), text) << step;
      blobs_->remove(blob.digest);
    }
    EXPECT_TRUE(clean()) << step;
    EXPECT_TRUE(fs::is_empty(base_ / "root/blobs/sha256")) << step;
    close();
    if (WIFEXITED(status)) return;
  }
  FAIL() << "more steps than expected";
}

using Roots = test::Store;

TEST_F(Roots, CVE_2021_41091_TheRootIsClosedToOthers) {
  close();
  fs::permissions(base_ / "root", fs::perms(02755));
  reopen();
  EXPECT_EQ(kernel::stat_at(AT_FDCWD, (base_ / "root").string()).st_mode & 07777U, 0700U);
  for (const auto& entry : fs::directory_iterator(base_ / "root"))
    EXPECT_EQ(kernel::stat_at(AT_FDCWD, entry.path().string()).st_mode & 077U, 0U) << entry.path();
}

TEST_F(Roots, ASecondEngineIsRefusedBeforeItCleansAnything) {
  const std::string busy = root_->make_temporary("work");
  EXPECT_THROW(DataRoot((base_ / "root").string()), Error);
  EXPECT_TRUE(fs::exists(base_ / "root" / busy));
}

TEST_F(Roots, UnfinishedWorkGoesAtStart) {
  root_->make_temporary("work");
  std::ofstream(base_ / "root/tmp/file") << "x";
  fs::create_directories(base_ / "root/trash/old/deep");
  reopen();
  EXPECT_TRUE(clean());
}

TEST_F(Roots, RelativeAndForeignRootsAreRefused) {
  EXPECT_THROW(DataRoot("relative"), Error);
  fs::create_directories(base_ / "foreign");
  ASSERT_EQ(::chown((base_ / "foreign").c_str(), 1234, 1234), 0);
  EXPECT_THROW(DataRoot((base_ / "foreign").string()), Error);
}

TEST_F(Roots, DiscardedTreesDisappearWithoutWaiting) {
  fs::create_directories(base_ / "root/volumes/a/b/c");
  fs::create_symlink(base_ / "canary", base_ / "root/volumes/a/link");
  root_->discard("volumes/a");
  root_->discard("volumes/none");
  EXPECT_FALSE(fs::exists(base_ / "root/volumes/a"));
  EXPECT_TRUE(clean());
  EXPECT_THROW(root_->discard("../canary"), Error);
}

}  // namespace
}  // namespace bryo::storage

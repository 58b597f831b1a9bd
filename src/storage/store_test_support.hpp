// Tests only: a data root of its own below /tmp, with a canary beside it that nothing may touch.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "kernel/files.hpp"
#include "storage/blob_store.hpp"
#include "storage/data_root.hpp"
#include "storage/document_store.hpp"
#include "storage/layer_store.hpp"

namespace bryo::storage::test {

// name → "type mode uid gid mtime content", of everything below `top`.
inline std::map<std::string, std::string> tree_of(const std::filesystem::path& top, bool times = true) {
  std::map<std::string, std::string> tree;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(top)) {
    const struct stat info = kernel::stat_at(AT_FDCWD, entry.path().string());
    std::string line =
        fmt::format("{:o} {}:{} {}", info.st_mode, info.st_uid, info.st_gid, times ? info.st_mtim.tv_sec : 0);
    if (S_ISLNK(info.st_mode)) line += " -> " + std::filesystem::read_symlink(entry.path()).string();
    if (S_ISREG(info.st_mode)) {
      std::ifstream in(entry.path());
      line += " " + std::string(std::istreambuf_iterator<char>(in), {});
    }
    if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) line += fmt::format(" dev {:x}", info.st_rdev);
    tree[entry.path().lexically_relative(top).string()] = line;
  }
  return tree;
}

class Store : public ::testing::Test {
 protected:
  Store() {
    if (::geteuid() != 0) return;
    char name[] = "/tmp/bryo-store-XXXXXX";
    base_ = ::mkdtemp(name);
    std::filesystem::create_directories(base_ / "canary/dir");
    std::ofstream(base_ / "canary/secret") << "canary";
    canary_ = tree_of(base_ / "canary");
    reopen();
  }
  ~Store() override {
    close();
    if (!base_.empty()) std::filesystem::remove_all(base_);
  }
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "the store needs root: whiteouts and owners";
  }
  void TearDown() override {
    if (base_.empty()) return;
    EXPECT_EQ(tree_of(base_ / "canary"), canary_) << "the host was touched";
  }

  void close() {
    layers_.reset();
    blobs_.reset();
    documents_.reset();
    root_.reset();
  }
  void reopen() {
    close();
    root_ = std::make_unique<DataRoot>((base_ / "root").string());
    documents_ = std::make_unique<DocumentStore>(root_->path());
    blobs_ = std::make_unique<BlobStore>(*root_, *documents_);
    layers_ = std::make_unique<LayerStore>(*root_, *documents_);
  }

  LayerInfo unpack(const std::string& tar, std::optional<Digest> parent = {}, const UnpackLimits& limits = {}) {
    UnpackRequest request;
    request.parent = std::move(parent);
    request.limits = limits;
    MemorySource source(tar);
    return layers_->unpack(request, source);
  }
  std::filesystem::path path_of(const LayerInfo& layer) const { return layers_->path_of(layer.chain); }
  // Nothing unfinished is left.
  bool clean() const {
    root_->drain_trash();
    return std::filesystem::is_empty(base_ / "root/tmp") && std::filesystem::is_empty(base_ / "root/trash");
  }

  std::filesystem::path base_;
  std::map<std::string, std::string> canary_;
  std::unique_ptr<DataRoot> root_;
  std::unique_ptr<DocumentStore> documents_;
  std::unique_ptr<BlobStore> blobs_;
  std::unique_ptr<LayerStore> layers_;
};

}  // namespace bryo::storage::test

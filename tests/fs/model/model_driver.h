// Random operations on a file system and on the model of it, compared at every answer.
//
// Split by what is done: model_driver.cc content, model_names.cc names and xattrs,
// model_verify.cc comparisons of the whole.
//
// Thread safety: one thread; the file system's own threads flush beside it.
// Errors:        every difference is a test failure that names the operation.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fs/types.h"
#include "tests/fs/model/content_pool.h"
#include "tests/fs/model/model_file.h"
#include "tests/fs/model/test_store.h"
#include "tests/support/random.h"

namespace dedupfs {

class ModelDriver {
 public:
  ModelDriver(TestStore& store, Random& random);
  ~ModelDriver();
  ModelDriver(const ModelDriver&) = delete;
  ModelDriver& operator=(const ModelDriver&) = delete;

  // One random operation on both.
  void Step();
  // The name and the numbers of the last operation.
  const std::string& last_operation() const { return operation_; }

  // Names, attributes, xattrs and all bytes.
  void VerifyAll();
  // Once nothing is left to be chunked: holes are exact, and content ids equal where bytes are.
  void VerifySettled();
  // Closes all files and the store, opens it again and compares.
  void Reopen(bool forget_first);
  void CheckAndReopen();
  // Unlinks everything.
  void DeleteAll();

 private:
  using FilePtr = std::shared_ptr<ModelFile>;
  using Place = std::pair<Ino, std::string>;  // directory and name
  using Operation = void (ModelDriver::*)();

  FileSystem& fs() { return store_.fs(); }
  void Say(const std::string& what, const ModelFile& file, uint64_t a = 0, uint64_t b = 0,
           uint64_t c = 0);

  // content
  void Write();
  void Append();
  void Truncate();
  void Punch();
  void ZeroRange();
  void Allocate();
  void Read();
  void Seek();
  void Fsync();
  void SyncAll();
  void CopyRange();
  void CopyWhole();
  void CopyWithin();
  void SetTime();
  void OpenTruncating();
  // names
  void Create();
  void Rename();
  void Exchange();
  void Link();
  void Unlink();
  void SetXattr();
  void RemoveXattr();
  void OpenMore();
  void CloseOne();

  // A file with a name, or one that is unlinked but open.
  FilePtr PickFile();
  // One of the file's handles, opened now if there is none.
  OpenFile& HandleOf(ModelFile& file);
  Place PickFreePlace();
  bool PickTaken(Place& place, FilePtr& file);
  uint64_t PickOffset(const ModelFile& file);
  uint64_t PickLength();
  void DoCopy(ModelFile& from, uint64_t from_offset, ModelFile& to, uint64_t to_offset,
              uint64_t length);
  void Changed(ModelFile& file) { file.mtime.reset(); }
  void LostName(const FilePtr& file);
  void ReleaseAll(ModelFile& file);
  void ReleaseOrphans();
  void VerifyFile(const Place& place, ModelFile& file);
  void VerifyBytes(OpenFile& handle, const ModelFile& file);
  void VerifyNames();

  TestStore& store_;
  Random& random_;
  ContentPool pool_;
  std::vector<Ino> directories_;
  std::map<Place, FilePtr> names_;
  std::vector<FilePtr> orphans_;  // unlinked, still open
  std::string operation_;
};

}  // namespace dedupfs

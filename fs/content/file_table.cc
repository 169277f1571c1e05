#include "fs/content/file_table.h"

#include <cstring>
#include <utility>

#include "fs/content/dirty_row.h"

namespace dedupfs {

Result<std::optional<ContentRecord>> ReadContentRecord(Kv& kv, Ino ino) {
  DEDUPFS_ASSIGN_OR_RETURN(const std::optional<std::string> value,
                           kv.Get(Family::kContent, ContentKey(ino)));
  if (!value.has_value()) return std::optional<ContentRecord>();
  DEDUPFS_ASSIGN_OR_RETURN(const ContentRecord record, ParseContentRecord(ino, *value));
  return std::optional<ContentRecord>(record);
}

Result<FilePtr> FileTable::Get(Ino ino) {
  FilePtr file;
  {
    MutexLock lock(mutex_);
    FilePtr& slot = files_[ino];
    if (slot == nullptr) slot = std::make_shared<FileState>(ino);
    file = slot;
  }
  if (Status loaded = Load(*file); !loaded) {
    Release(std::move(file));
    return Fail(loaded.error());
  }
  return file;
}

FilePtr FileTable::Find(Ino ino) {
  MutexLock lock(mutex_);
  const auto found = files_.find(ino);
  return found == files_.end() ? nullptr : found->second;
}

void FileTable::Release(FilePtr file) {
  MutexLock lock(mutex_);
  const auto found = files_.find(file->ino);
  if (found == files_.end() || found->second != file) return;
  file.reset();
  // Only the table's reference is left: nobody can come by another without mutex_.
  if (found->second.use_count() > 1) return;
  {
    FileState& state = *found->second;
    MutexLock file_lock(state.mutex);
    if (state.loaded && (state.IsDirty() || state.queued) && !state.dropped) return;
  }
  files_.erase(found);
}

Status FileTable::Load(FileState& file) {
  MutexLock lock(file.mutex);
  if (file.loaded) return Ok();
  DEDUPFS_ASSIGN_OR_RETURN(const std::optional<ContentRecord> record,
                           ReadContentRecord(kv_, file.ino));
  if (record.has_value()) {
    file.has_record = true;
    file.committed = *record;
    file.size = record->size;
    file.mtime = record->mtime;
    file.ctime = record->ctime;
    if (record->has_dirty_rows) {
      const std::string prefix = ContentKey(file.ino);
      const auto rows = kv_.Iterate(Family::kDirty, prefix, PrefixEnd(prefix));
      for (; rows->Valid(); rows->Next()) {
        DEDUPFS_ASSIGN_OR_RETURN(const DirtyRow row, ParseDirtyRow(rows->key(), rows->value()));
        Extent extent;
        extent.offset = row.offset;
        extent.length = row.length;
        extent.sequence = DirtySequenceOfKey(rows->key());
        if (!row.zeros) {
          auto data = std::make_shared<Buffer>(row.data.size());
          std::memcpy(data->data(), row.data.data(), row.data.size());
          extent.data = std::move(data);
        }
        file.last_sequence = std::max(file.last_sequence, extent.sequence);
        file.logged_bytes += ExtentMap::kExtentOverhead + row.data.size();
        file.logged_keys.emplace_back(rows->key());
        file.extents.Insert(std::move(extent));
      }
      DEDUPFS_RETURN_IF_ERROR(rows->status());
      file.logged_sequence = file.last_sequence;
    }
  }
  file.loaded = true;
  return Ok();
}

}  // namespace dedupfs

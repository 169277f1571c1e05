// The table of request handlers, by topic. Internal to fs/fuse/.
#pragma once

#include "fs/fuse/lowlevel.h"

namespace dedupfs {

// init_capabilities.cc: what is agreed with the kernel.
void InitSession(void* state, fuse_conn_info* connection);

void SetNameHandlers(fuse_lowlevel_ops& ops);
void SetAttributeHandlers(fuse_lowlevel_ops& ops);
void SetOpenHandlers(fuse_lowlevel_ops& ops);
void SetContentHandlers(fuse_lowlevel_ops& ops);
void SetDirectoryHandlers(fuse_lowlevel_ops& ops);
void SetXattrHandlers(fuse_lowlevel_ops& ops);
void SetFlagHandlers(fuse_lowlevel_ops& ops);

fuse_lowlevel_ops AllHandlers();

}  // namespace dedupfs

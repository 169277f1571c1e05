// libfuse's low-level API, asked for in one version everywhere. Internal to fs/fuse/.
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>  // IWYU pragma: export

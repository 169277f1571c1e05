"""An NFS client in user space: what the tests need of libnfs (libnfs13), by ctypes.

libnfs 4.0.0 has two faults with NFS 4, whatever file system is exported: a file that creat made
cannot be written until it is opened again, and a write of some kilobytes cannot be encoded.
"""

import ctypes
import os
from ctypes import POINTER, byref, c_char_p, c_int, c_uint64, c_void_p

LIBRARY = "libnfs.so.13"
NFS4_WRITE_BYTES = 1024
TRY_LOCK, UNLOCK = 1, 2  # enum nfs4_lock_op


class Dirent(ctypes.Structure):
    """The beginning of struct nfsdirent."""


Dirent._fields_ = [("next", POINTER(Dirent)), ("name", c_char_p), ("inode", c_uint64)]


def _load():
    library = ctypes.CDLL(LIBRARY)
    context, handle, text, number = c_void_p, c_void_p, c_char_p, c_uint64
    library.nfs_init_context.restype = context
    library.nfs_destroy_context.argtypes = [context]
    library.nfs_destroy_context.restype = None
    library.nfs_get_error.argtypes = [context]
    library.nfs_get_error.restype = text
    library.nfs_readdir.argtypes = [context, c_void_p]
    library.nfs_readdir.restype = POINTER(Dirent)
    library.nfs_closedir.argtypes = [context, c_void_p]
    library.nfs_closedir.restype = None
    library.nfs_set_uid.argtypes = library.nfs_set_gid.argtypes = [context, c_int]
    library.nfs_set_uid.restype = library.nfs_set_gid.restype = None
    library.nfs4_set_client_name.argtypes = library.nfs4_set_verifier.argtypes = [context, text]
    library.nfs4_set_client_name.restype = library.nfs4_set_verifier.restype = None
    for name, arguments in {
            "set_version": [c_int], "mount": [text, text], "mkdir": [text], "rmdir": [text],
            "unlink": [text], "rename": [text, text], "link": [text, text],
            "symlink": [text, text], "truncate": [text, number],
            "open": [text, c_int, POINTER(handle)], "creat": [text, c_int, POINTER(handle)],
            "close": [handle], "fsync": [handle], "opendir": [text, POINTER(c_void_p)],
            "pread": [handle, number, number, c_char_p],
            "pwrite": [handle, number, number, c_char_p],
            "lockf": [handle, c_int, number]}.items():
        getattr(library, "nfs_" + name).argtypes = [context, *arguments]
    return library


class Client:
    """One mount by one client. Every call raises OSError with the errno that the server gave."""

    def __init__(self, version, server="127.0.0.1", uid=0):
        self._nfs = _load()
        self._context = self._nfs.nfs_init_context()
        self._nfs.nfs_set_uid(self._context, uid)
        self._nfs.nfs_set_gid(self._context, uid)
        self._version = version
        self._call("set_version", version)
        # Else all clients of one process are one client to NFS 4, and end each other's leases.
        identity = os.urandom(8).hex().encode()
        self._nfs.nfs4_set_client_name(self._context, identity)
        self._nfs.nfs4_set_verifier(self._context, identity[:8])
        # NFS 3 mounts the path, NFS 4 the pseudo path of the export.
        self._call("mount", server.encode(), b"/srv/photos" if version == 3 else b"/photos")

    def _call(self, name, *arguments):
        result = getattr(self._nfs, "nfs_" + name)(self._context, *arguments)
        if result < 0:
            message = self._nfs.nfs_get_error(self._context) or b""
            raise OSError(-result, f"{name}: {message.decode()}")
        return result

    def __getattr__(self, name):
        """mkdir, rmdir, unlink, rename, link, symlink: with paths."""
        if name not in ("mkdir", "rmdir", "unlink", "rename", "link", "symlink"):
            raise AttributeError(name)
        return lambda *paths: self._call(name, *(path.encode() for path in paths))

    def close(self):
        self._nfs.nfs_destroy_context(self._context)

    def open(self, path, flags=os.O_RDONLY):
        handle = c_void_p()
        self._call("open", path.encode(), flags, byref(handle))
        return handle

    def create(self, path):
        handle = c_void_p()
        self._call("creat", path.encode(), 0o644, byref(handle))
        if self._version == 4:
            self.close_file(handle)
            return self.open(path, os.O_RDWR)
        return handle

    def close_file(self, handle):
        self._call("close", handle)

    def fsync(self, handle):
        self._call("fsync", handle)

    def read(self, handle, offset, size):
        buffer = ctypes.create_string_buffer(size)
        done = self._call("pread", handle, offset, size, buffer)
        return buffer.raw[:done]

    def write(self, handle, offset, data):
        most = NFS4_WRITE_BYTES if self._version == 4 else 256 << 10
        for first in range(0, len(data), most):
            piece = data[first:first + most]
            done = self._call("pwrite", handle, offset + first, len(piece), piece)
            assert done == len(piece), f"{done} of {len(piece)} bytes written"

    def put(self, path, data):
        handle = self.create(path)
        self.write(handle, 0, data)
        self.close_file(handle)

    def lock(self, handle, operation, length):
        """Of the bytes from the handle's position on."""
        self._call("lockf", handle, operation, length)

    def list(self, path):
        directory = c_void_p()
        self._call("opendir", path.encode(), byref(directory))
        names = []
        while entry := self._nfs.nfs_readdir(self._context, directory):
            names.append(entry.contents.name.decode())
        self._nfs.nfs_closedir(self._context, directory)
        return sorted(name for name in names if name not in (".", ".."))

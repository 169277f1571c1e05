"""The data that rows write: the same for every contender of a round, another in each round."""

import mmap
import os
import random
import shutil
import subprocess

from bench_row import NotHere

MIB = 1 << 20
STAMP_EVERY = 4096  # less than the smallest chunk, so no two chunks are alike
REAL_PLACES = ("/usr/include", "/usr/share/doc", "/usr/lib/python3", "/usr/lib/python3.11",
               "/usr/share/perl", "/usr/share", "/usr/lib")


class Workload:
    """Makes data and trees once, in memory or in `root`, which lies on the disk itself."""

    def __init__(self, root, size_bytes, small_files, tree_files, tree):
        self.root = root
        self.size_bytes = size_bytes
        self.small_files = small_files
        self.tree_files = tree_files
        self.tree = tree  # a folder that the caller chose, or None
        self.round = 0
        self.kept = {}
        self.text = None
        os.makedirs(root, exist_ok=True)

    def keep(self, key, make):
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]

    def start_round(self, number):
        self.round = number
        self.kept = {key: value for key, value in self.kept.items() if key[0] == "tree"}

    def incompressible(self, key, size=None):
        """Random bytes that only `key` and the round tell apart."""
        size = size or self.size_bytes

        def make():
            source = random.Random(f"{key}/{self.round}")
            data = mmap.mmap(-1, size)
            for start in range(0, size, MIB):
                data.write(source.randbytes(min(MIB, size - start)))
            return data

        return self.keep(("random", key, size), make)

    def compressible(self, key):
        """Text of this machine, stamped so that no chunk comes twice."""

        def make():
            data = mmap.mmap(-1, self.size_bytes)
            text = self.real_text()
            while data.tell() < self.size_bytes:
                data.write(text[:self.size_bytes - data.tell()])
            source = random.Random(f"{key}/{self.round}")
            for start in range(0, self.size_bytes - 16, STAMP_EVERY):
                data[start:start + 16] = source.randbytes(16)
            return data

        return self.keep(("text", key), make)

    def real_text(self):
        if self.text is None:
            parts, total, wanted = [], 0, min(self.size_bytes, 128 * MIB)
            for path in self.real_files():
                if total >= wanted:
                    break
                with open(path, "rb") as file:
                    parts.append(file.read(MIB))
                total += len(parts[-1])
            self.text = b"".join(parts)
        return self.text

    def real_files(self):
        seen = set()
        for place in REAL_PLACES:
            for directory, names, files in os.walk(place):
                names.sort()
                for name in sorted(files):
                    path = os.path.join(directory, name)
                    if path in seen or os.path.islink(path) or not os.path.isfile(path):
                        continue
                    if os.path.getsize(path) > 0:
                        seen.add(path)
                        yield path

    def source_tree(self):
        """A tar of real files, and how many they are."""
        return self.keep(("tree", "tar"), self.make_tar)

    def tree_count(self):
        """How many files the tree has; None while no row has asked for it."""
        return self.kept.get(("tree", "tar"), (None, None))[1]

    def check_tree(self):
        """Raises where the caller's tree has nothing to measure with."""
        if self.tree is None:
            return
        if not os.path.isdir(self.tree):
            raise RuntimeError(f"--tree {self.tree}: no such folder")
        if self.source_tree()[1] == 0:
            raise RuntimeError(f"--tree {self.tree}: holds no file")

    def make_tar(self):
        archive = os.path.join(self.root, "tree.tar")
        if self.tree is not None:
            place = os.path.abspath(self.tree)
            subprocess.run(["tar", "-C", place, "--exclude=.git", "-cf", archive, "."], check=True)
        else:
            files = []
            for path in self.real_files():
                if len(files) >= self.tree_files:
                    break
                if os.path.getsize(path) <= MIB:
                    files.append(os.fsencode(path.lstrip("/")))
            subprocess.run(["tar", "-C", "/", "--null", "-T", "-", "-cf", archive], check=True,
                           input=b"\0".join(files))
        listed = subprocess.run(["tar", "-tf", archive], check=True, stdout=subprocess.PIPE).stdout
        return archive, sum(1 for line in listed.splitlines() if not line.endswith(b"/"))

    def versions(self):
        """Two versions of the tree on the disk: in the second every 20th file has a line more."""

        def make():
            archive, _ = self.source_tree()
            trees = [os.path.join(self.root, f"version-{number}") for number in (1, 2)]
            for tree in trees:
                shutil.rmtree(tree, ignore_errors=True)
                os.mkdir(tree)
                subprocess.run(["tar", "-C", tree, "-xf", archive], check=True)
            changed = 0
            for directory, names, files in os.walk(trees[1]):
                names.sort()
                for name in sorted(files):
                    changed += 1
                    path = os.path.join(directory, name)
                    if changed % 20 == 1 and not os.path.islink(path):
                        os.chmod(path, 0o644)
                        with open(path, "ab") as file:
                            file.write(b"one line more\n")
            return trees

        return self.keep(("tree", "versions"), make)

    def project_sources(self, count):
        """C++ files of this repository that need nothing but the standard library."""
        base = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
        names = ("chunkstore/base/siphash", "chunkstore/base/coding", "chunkstore/base/error",
                 "chunkstore/chunking/chunker", "chunkstore/base/thread_pool")
        found = [n for n in names if os.path.exists(os.path.join(base, n + ".cc"))]
        if not found:
            raise NotHere("sources", "the bench is not in a checkout")
        return os.path.normpath(base), found[:count]

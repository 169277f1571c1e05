#!/usr/bin/env python3
"""`dedupfs export`: what was written through a mount comes out without one, as it was."""

import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import unittest

import harness
import real_tree
from harness import dedupfs

MARKER = ".dedupfs-export"


class ExportCase(unittest.TestCase):
    def setUp(self):
        self.work = os.path.realpath(tempfile.mkdtemp(prefix="dedupfs-export-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.fs = harness.Mount(self.work)
        self.fs.__enter__()
        self.addCleanup(self.fs.__exit__, None, None, None)
        self.out = os.path.join(self.work, "out")

    def export(self, *arguments, expect=0):
        done = dedupfs("export", "--json", self.fs.store, self.out, *arguments, expect=expect)
        return json.loads(done.stdout)

    def fill(self, *sources):
        """The sources, copied in; the mount is gone afterwards."""
        self.fs.mount()
        for source in sources:
            subprocess.run(["cp", "-a", source, self.fs.path], check=True)
        self.fs.umount()

    def source(self, name):
        return os.path.join(self.work, "source", name)

    def make_sources(self):
        random = harness.seeded_random()
        os.mkdir(os.path.join(self.work, "source"))
        real_tree.make_odd_names(self.source("names"))
        real_tree.make_links_and_special_files(self.source("links"))
        real_tree.make_sparse_files(self.source("sparse"))
        real_tree.make_attributes(self.source("attributes"), random)
        os.mkdir(self.source("many"))
        for number in range(1500):  # more than is listed at once
            with open(self.source(f"many/{number}"), "wb") as file:
                file.write(b"%d" % number)
        with open(self.source("large"), "wb") as file:
            file.write(os.urandom(9 << 20))
        os.link(self.source("large"), self.source("names/large-elsewhere"))
        os.utime(self.source("large"), ns=(1_000_000_001, -1_999_999_999))
        return self.source("")


class WholeTrees(ExportCase):
    def test_everything_comes_out_as_it_was(self):
        source = self.make_sources()
        self.fs.mount()
        subprocess.run(["cp", "-a", source + ".", self.fs.path], check=True)
        self.fs.umount()
        report = self.export()
        self.assertEqual(report["problems"], 0)
        count = harness.compare_trees(source, self.out)
        self.assertEqual(report["hard_links"], 5 + 1 + 1)  # hard*, fifo-link, large-elsewhere
        self.assertEqual(count, sum(report[kind] for kind in (
            "files", "directories", "symlinks", "special_files", "hard_links")))
        for name in ("hole", "middle", "far", "zeros"):
            info = os.stat(os.path.join(self.out, "sparse", name))
            self.assertLessEqual(info.st_blocks * 512, 64 << 10, f"{name}: holes are holes")
        self.assertFalse(os.path.lexists(os.path.join(self.out, MARKER)))

    def test_one_directory_or_one_file(self):
        source = self.source("")
        os.makedirs(source)
        real_tree.make_attributes(self.source("attributes"), harness.seeded_random())
        os.mkdir(self.source("names"))
        with open(self.source("large"), "wb") as file:
            file.write(os.urandom(9 << 20))
        os.link(self.source("large"), self.source("names/large-elsewhere"))
        self.fs.mount()
        subprocess.run(["cp", "-a", source, self.fs.join("photos")], check=True)
        self.fs.umount()
        self.export("/photos/attributes/")
        harness.compare_trees(self.source("attributes"), self.out)
        self.out += "2"
        report = self.export("photos/names/large-elsewhere")
        self.assertEqual((report["files"], report["directories"]), (1, 0))
        self.assertEqual(os.listdir(self.out), ["large-elsewhere"])
        self.assertEqual(os.stat(os.path.join(self.out, "large-elsewhere")).st_size, 9 << 20)
        self.out += "3"
        error = self.export("photos/nothing/there", expect=1)["error"]
        self.assertEqual(error["code"], "ENOENT")

    def test_what_a_killed_daemon_had_synced_comes_out(self):
        data = os.urandom(30_000)
        self.fs.mount_as_child()
        with open(self.fs.join("file"), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # small: it waits in the database, not chunked yet
        self.fs.kill()
        dedupfs("umount", self.fs.path)
        self.export()
        with open(os.path.join(self.out, "file"), "rb") as file:
            self.assertEqual(file.read(), data)

    def test_a_name_like_the_marker_of_the_export_comes_out_too(self):
        os.mkdir(os.path.join(self.work, "source"))
        os.mkdir(self.source(MARKER))
        with open(self.source(MARKER + "/file"), "wb") as file:
            file.write(b"mine")
        os.link(self.source(MARKER + "/file"), self.source("file"))
        self.fs.mount()
        subprocess.run(["cp", "-a", self.source("."), self.fs.path], check=True)
        self.fs.umount()
        self.assertEqual(self.export()["problems"], 0)
        harness.compare_trees(self.source(""), self.out)

    def test_nothing_is_inherited_from_the_target(self):
        os.mkdir(os.path.join(self.work, "source"))
        os.makedirs(self.source("a/b"))
        self.fill(self.source("a"))
        os.mkdir(self.out)
        subprocess.run(["setfacl", "-m", "d:u:77:rwx", self.out], check=True)
        self.export()
        harness.compare_trees(self.source("a"), os.path.join(self.out, "a"))
        self.assertEqual(os.listxattr(self.out), [])


class Damage(ExportCase):
    def damage(self, size, *offsets):
        """A store with dir/bad, and the hard link bad2, flipped at the offsets; the data of it."""
        os.mkdir(os.path.join(self.work, "source"))
        os.mkdir(self.source("dir"))
        bad = os.urandom(size)
        for name, data in (("dir/bad", bad), ("dir/good", os.urandom(300_000)),
                           ("zoo", b"last")):
            with open(self.source(name), "wb") as file:
                file.write(data)
        os.link(self.source("dir/bad"), self.source("bad2"))
        self.fs.mount()
        subprocess.run(["cp", "-a", self.source("."), self.fs.path], check=True)
        self.fs.umount()
        for offset in offsets:
            self.fs.flip(bad, offset)
        return bad

    def expect_saved(self, bad, copy, stderr, path, *offsets):
        """All but the ranges that are told, which are those of the chunks at the offsets."""
        ranges = [(int(first), int(last)) for first, last in
                  re.findall(rf"(?m)^dedupfs: {path}: bytes (\d+) to (\d+) cannot be read: .*chunk",
                             stderr)]
        self.assertEqual(len(ranges), len(offsets), stderr)
        want = bytearray(bad)
        for (first, last), offset in zip(ranges, sorted(offsets)):
            self.assertTrue(first <= offset <= last, (ranges, offset))
            self.assertLess(last - first, 256 << 10)
            want[first:last + 1] = bytes(last + 1 - first)
        with open(os.path.join(self.out, copy), "rb") as file:
            self.assertEqual(file.read(), bytes(want))

    def test_what_can_be_read_of_a_damaged_file_is_saved_and_the_rest_is_named(self):
        offsets = (100, 5 << 20)
        bad = self.damage(6 << 20, *offsets)
        done = dedupfs("export", self.fs.store, self.out, expect=8)
        self.assertEqual(sorted(os.listdir(self.out)), ["bad2.damaged", "dir", "zoo"])
        self.assertEqual(sorted(os.listdir(os.path.join(self.out, "dir"))),
                         ["bad.damaged", "good"])
        self.assertTrue(os.path.samefile(os.path.join(self.out, "bad2.damaged"),
                                         os.path.join(self.out, "dir/bad.damaged")))
        first, second = ("/bad2", "/dir/bad") if "/bad2: bytes" in done.stderr else \
            ("/dir/bad", "/bad2")
        self.expect_saved(bad, "bad2.damaged", done.stderr, first, *offsets)
        self.assertIn(f"{second}: another name of a damaged file", done.stderr)
        self.assertIn("2 problems", done.stdout)
        self.assertEqual(sorted(self.export_again(expect=8)["problem_list"]),
                         sorted(line.removeprefix("dedupfs: ") for line in
                                done.stderr.splitlines() if line.startswith("dedupfs: /")))
        for name in ("bad2.damaged", "dir/bad.damaged"):
            os.unlink(os.path.join(self.out, name))
        os.unlink(self.source("dir/bad"))
        os.unlink(self.source("bad2"))
        for path in (self.source(""), self.source("dir"), self.out, self.out + "/dir"):
            os.utime(path, ns=(0, 0))
        harness.compare_trees(self.source(""), self.out)

    def export_again(self, *arguments, expect):
        shutil.rmtree(self.out)
        return self.export(*arguments, expect=expect)

    def test_a_file_in_a_subtree_is_named_by_its_path_in_the_store(self):
        bad = self.damage(500_000, 250_000)
        for path in ("dir", "/dir/", "dir/bad"):
            done = dedupfs("export", self.fs.store, self.out, path, expect=8)
            self.expect_saved(bad, "bad.damaged", done.stderr, "/dir/bad", 250_000)
            self.assertIn("1 problem\n", done.stdout)
            shutil.rmtree(self.out)

    def test_a_damaged_copy_takes_no_name_that_the_store_has(self):
        bad = self.damage(500_000, 250_000)
        self.fs.mount()
        for name in ("dir/bad.damaged", "bad2.damaged"):
            with open(self.fs.join(name), "wb") as file:
                file.write(b"mine")
        self.fs.umount()
        done = dedupfs("export", self.fs.store, self.out, "dir", expect=8)
        with open(os.path.join(self.out, "bad.damaged"), "rb") as file:
            self.assertEqual(file.read(), b"mine")
        self.expect_saved(bad, "bad.damaged-2", done.stderr, "/dir/bad", 250_000)

    def test_a_file_of_which_nothing_can_be_read_is_left_out(self):
        self.damage(5_000, 2_500)
        done = dedupfs("export", self.fs.store, self.out, "dir", expect=8)
        self.assertEqual(os.listdir(self.out), ["good"])
        self.assertIn("/dir/bad: left out: nothing of it can be read", done.stderr)
        self.assertIn("/dir/bad: bytes 0 to 4999 cannot be read", done.stderr)


class Refusals(ExportCase):
    def test_a_directory_with_something_in_it_is_left_alone(self):
        os.mkdir(self.out)
        with open(os.path.join(self.out, "mine"), "wb") as file:
            file.write(b"mine")
        error = self.export(expect=1)["error"]
        self.assertEqual(error["code"], "ENOTEMPTY")
        self.assertIn("mine", error["message"])
        self.assertEqual(os.listdir(self.out), ["mine"])
        os.rename(os.path.join(self.out, "mine"), os.path.join(self.out, MARKER))
        self.assertIn("did not end", self.export(expect=1)["error"]["message"])

    def test_a_mounted_store_is_refused_with_its_mount_point(self):
        self.fs.mount()
        error = self.export(expect=4)["error"]
        self.assertIn(f"unmount {self.fs.path} first", error["message"])
        self.assertFalse(os.path.exists(self.out))

    def test_a_target_within_the_store_is_refused(self):
        self.out = os.path.join(self.fs.store, "packs", "out")
        self.export(expect=1)
        self.assertEqual(os.listdir(os.path.join(self.fs.store, "packs")), [])

    def test_no_store_and_wrong_arguments(self):
        dedupfs("export", self.work, self.work + "-out", expect=3)
        dedupfs("export", self.fs.store, expect=2)
        self.assertFalse(os.path.exists(self.out))

    def test_a_full_disk_ends_it_and_the_marker_stays(self):
        os.mkdir(os.path.join(self.work, "source"))
        with open(self.source("large"), "wb") as file:
            file.write(os.urandom(3 << 20))
        self.fill(self.source("large"))
        os.mkdir(self.out)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", self.out],
                              check=False, capture_output=True)
        if done.returncode != 0:
            self.skipTest("needs root: a small file system to fill")
        try:
            error = self.export(expect=1)["error"]
            self.assertEqual(error["code"], "ENOSPC")
            self.assertIn("/large", error["message"])
            self.assertEqual(os.listdir(self.out), [MARKER])
        finally:
            subprocess.run(["umount", self.out], check=True)

    def test_without_root_owners_and_set_id_bits_are_not_kept_and_that_is_said(self):
        if os.geteuid() != 0:
            self.skipTest("needs root: files of several owners")
        os.mkdir(os.path.join(self.work, "source"))
        with open(self.source("tool"), "wb") as file:
            file.write(b"#!")
        os.chown(self.source("tool"), 1234, 1234)
        os.chmod(self.source("tool"), 0o6755)
        self.fill(self.source("tool"))
        binary = harness.binary_for_anyone(self.work)
        subprocess.run(["chown", "-R", "65534:65534", self.work], check=True)
        done = subprocess.run([binary, "export", self.fs.store, self.out], check=True,
                              capture_output=True, text=True, user=65534, group=65534,
                              extra_groups=[])
        self.assertIn("needs root", done.stderr)
        info = os.stat(os.path.join(self.out, "tool"))
        self.assertEqual((info.st_uid, stat.S_IMODE(info.st_mode)), (65534, 0o755))


if __name__ == "__main__":
    harness.run_cases()

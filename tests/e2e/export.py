#!/usr/bin/env python3
"""`dedupfs export`: what was written through a mount comes out without one, as it was."""

import json
import os
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
            file.write(random.randbytes(9 << 20))
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
    def test_a_damaged_file_is_named_and_left_out_and_the_rest_comes_out(self):
        os.mkdir(os.path.join(self.work, "source"))
        os.mkdir(self.source("dir"))
        bad = os.urandom(6 << 20)
        for name, data in (("dir/bad", bad), ("dir/good", os.urandom(300_000)), ("zoo", b"last")):
            with open(self.source(name), "wb") as file:
                file.write(data)
        os.link(self.source("dir/bad"), self.source("bad2"))
        self.fs.mount()
        subprocess.run(["cp", "-a", self.source("."), self.fs.path], check=True)
        self.fs.umount()
        self.fs.flip(bad, 5 << 20)
        said = self.export(expect=1)
        self.assertEqual(said["problems"], 2)
        self.assertEqual(sorted(line.split(":")[0] for line in said["problem_list"]),
                         ["/bad2", "/dir/bad"])
        os.unlink(self.source("dir/bad"))
        os.unlink(self.source("bad2"))
        for path in (self.source(""), self.source("dir"), self.out, self.out + "/dir"):
            os.utime(path, ns=(0, 0))
        harness.compare_trees(self.source(""), self.out)
        shutil.rmtree(self.out)
        done = dedupfs("export", self.fs.store, self.out, expect=1)
        self.assertRegex(done.stderr, r"/dir/bad: left out: .*chunk \d+")
        self.assertIn("2 problems", done.stdout)


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

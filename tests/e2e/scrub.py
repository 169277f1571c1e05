#!/usr/bin/env python3
"""`dedupfs scrub`: damage under a mount is found, named, healed; a scrub that ended goes on."""

import errno
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

import harness
from harness import dedupfs


class Scrub(unittest.TestCase):
    def setUp(self):
        self.work = os.path.realpath(tempfile.mkdtemp(prefix="dedupfs-scrub-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.fs = harness.Mount(self.work)
        self.fs.__enter__()
        self.addCleanup(self.fs.__exit__, None, None, None)

    def write(self, name, data):
        with open(self.fs.join(name), "wb") as file:
            file.write(data)

    def read(self, name):
        with open(self.fs.join(name), "rb") as file:
            return file.read()

    def status(self):
        return json.loads(dedupfs("status", "--json", self.fs.store).stdout)

    def scrub(self, *options, expect=0):
        return json.loads(dedupfs("scrub", "--json", *options, self.fs.store, expect=expect).stdout)

    def write_packs(self, count, size):
        """One file in each of so many packs: a pack is sealed when its store is closed."""
        files = {f"file{number}": os.urandom(size) for number in range(count)}
        for name, data in files.items():
            self.fs.mount()
            self.write(name, data)
            self.fs.umount()
        return files

    def start(self, *options):
        """A scrub as a child, once it has said how far it is."""
        child = subprocess.Popen([harness.BINARY, "scrub", *options, self.fs.path], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stderr.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.assertRegex(child.stderr.readline(), r"^scrub: \d+ %, .* of ")
        return child

    def test_damage_is_named_with_its_files_and_ranges_and_healed_by_the_same_content(self):
        self.fs.mount()
        os.mkdir(self.fs.join("photos"))
        data = os.urandom(400_000)
        self.write("photos/cat.raw", data)
        self.write("photos/copy of cat.raw", data)
        self.write("sound", os.urandom(100_000))
        self.fs.sync()
        self.assertIn("no damage", dedupfs("scrub", self.fs.path).stdout)
        self.fs.flip(data, 200_000)
        said = dedupfs("scrub", self.fs.path, expect=8).stdout
        self.assertRegex(said, r"chunk \d+ is damaged: in pack 1 at offset \d+, .* 2 references")
        for name in ("/photos/cat.raw", "/photos/copy of cat.raw"):
            found = re.search(rf"(?m)^{name}: bytes (\d+) to (\d+) lie in damaged chunk \d+$", said)
            self.assertLessEqual(int(found[1]), 200_000)
            self.assertGreaterEqual(int(found[2]), 200_000)
        self.assertNotIn("/sound", said)
        self.assertIn("1 damaged chunk, which 2 files use", said)
        self.assertIn("known damage: 1 chunk;", dedupfs("status", self.fs.path).stdout)
        self.assertRegex(dedupfs("stats", self.fs.path).stdout, r"damaged chunks +1 ")

        self.write("again.raw", data)  # a name of the same kind: it is cut into the same chunks
        self.fs.sync()
        status = self.status()
        self.assertEqual((status["damaged_chunks"], status["healed_chunks"]), (0, 1))
        for name in ("photos/cat.raw", "photos/copy of cat.raw", "again.raw"):
            self.assertEqual(self.read(name), data)
        self.assertIn("no damage", dedupfs("scrub", self.fs.path).stdout)
        self.assertIn("no damage", dedupfs("status", self.fs.path).stdout)
        self.fs.umount()
        with open(os.path.join(self.fs.store, "dedupfs.log"), encoding="utf-8") as log:
            self.assertRegex(log.read(), r"chunk_healed chunk=\d+")
        self.fs.check()

    def test_a_range_is_told_by_its_first_and_its_last_byte(self):
        self.fs.mount()
        data = os.urandom(5_000)
        self.write("file", data)
        self.fs.sync()
        self.fs.flip(data, 1_000)
        self.assertIn("/file: bytes 0 to 4999 lie in damaged chunk",
                      dedupfs("scrub", self.fs.path, expect=8).stdout)

    def test_every_name_of_a_damaged_file_is_told_and_of_many_the_number(self):
        self.fs.mount()
        data = os.urandom(5_000)
        os.mkdir(self.fs.join("there"))
        names = ["/linked", "/there/too"] + [f"/there/name{number}" for number in range(150)]
        self.write("linked", data)
        self.write("alone", data)
        self.write("sound", os.urandom(5_000))
        os.link(self.fs.join("linked"), self.fs.join("there/too"))
        os.link(self.fs.join("sound"), self.fs.join("there/sound"))
        self.fs.sync()
        self.fs.flip(data, 1_000)
        file = self.linked_file()
        self.assertEqual(sorted([file["path"], *file["other_paths"]]), names[:2])
        said = dedupfs("scrub", self.fs.path, expect=8).stdout
        self.assertIn(f"{file['other_paths'][0]}: another name of {file['path']}\n", said)
        self.assertNotIn("/sound", said)
        self.assertNotIn("more name", said)
        self.assertEqual(said.count("/alone"), 1)
        for name in names[2:]:
            os.link(self.fs.join("linked"), self.fs.join(name[1:]))
        file = self.linked_file()
        told = [file["path"], *file["other_paths"]]
        self.assertEqual((len(told), len(set(told)), file["more_paths"]), (100, 100, 52))
        self.assertLessEqual(set(told), set(names))
        self.assertIn(f"{file['path']}: has 52 more names\n",
                      dedupfs("scrub", self.fs.path, expect=8).stdout)

    def linked_file(self):
        files = self.scrub(expect=8)["damaged_file_list"]
        self.assertEqual(len(files), 2)
        return next(file for file in files if file["path"] != "/alone")

    def test_json_names_what_the_lines_name(self):
        self.fs.mount()
        data = os.urandom(300_000)
        self.write("file", data)
        self.fs.sync()
        self.fs.flip(data, 100_000)
        result = self.scrub(expect=8)
        self.assertEqual((result["state"], result["known_damaged_chunks"]), ("finished", 1))
        chunk = result["damaged_chunk_list"][0]
        file = result["damaged_file_list"][0]
        self.assertEqual(file["path"], "/file")
        span = file["ranges"][0]
        self.assertEqual((span["chunk"], span["length"]), (chunk["chunk"], chunk["bytes"]))
        self.assertTrue(span["offset"] <= 100_000 < span["offset"] + span["length"])
        self.fs.remount()  # the kernel has the file in its cache
        with self.assertRaises(OSError) as caught:
            self.read("file")
        self.assertEqual(caught.exception.errno, errno.EIO)

    def test_many_damaged_ranges_come_in_portions_and_none_is_missed(self):
        dedupfs("format", "--chunk-kib", "16", os.path.join(self.work, "small"))
        self.fs.store = os.path.join(self.work, "small")
        self.fs.mount()
        files = {f"file{number:03}": os.urandom(1_000_000) for number in range(40)}
        for name, data in files.items():
            self.write(name, data)
        self.fs.umount()
        for path in self.fs.packs():
            os.unlink(path)
        result = self.scrub(expect=8)
        self.assertGreater(result["known_damaged_chunks"], 1000)  # more than one portion has
        lengths = {}
        for file in result["damaged_file_list"]:
            total = sum(span["length"] for span in file["ranges"])
            lengths[file["path"]] = lengths.get(file["path"], 0) + total
        self.assertEqual(lengths, {"/" + name: len(data) for name, data in files.items()})
        self.assertEqual(result["damaged_files"], len(files))

    def test_a_truncated_and_a_missing_pack_are_found_while_mounted(self):
        files = self.write_packs(3, 200_000)
        first, second, _ = self.fs.packs()
        os.unlink(first)
        os.truncate(second, 100_000)
        self.fs.mount()
        said = dedupfs("scrub", self.fs.path, expect=8).stdout
        self.assertIn("/file0: bytes 0 to ", said)
        self.assertIn("/file1: bytes ", said)
        self.assertNotIn("/file2", said)
        for name, data in files.items():
            self.write(name + " again", data)
        self.fs.sync()
        self.assertIn("no damage", dedupfs("scrub", self.fs.path).stdout)
        for name, data in files.items():
            self.assertEqual(self.read(name), data)

    def test_an_unmounted_store_is_scrubbed_as_well(self):
        files = self.write_packs(2, 100_000)
        self.assertEqual(self.scrub()["damaged_files"], 0)
        self.fs.flip(files["file1"], 50_000)
        self.assertIn("/file1: bytes ", dedupfs("scrub", self.fs.store, expect=8).stdout)

    def test_a_scrub_of_a_killed_daemon_goes_on_where_it_was(self):
        files = self.write_packs(8, 100_000)
        self.fs.flip(files["file7"], 1000)
        self.fs.mount_as_child()
        child = self.start("--rate", "0.02")  # 40 s for all
        while self.status()["scrub"]["packs_done"] < 1:
            self.assertIsNone(child.poll())
        self.fs.kill()
        self.assertEqual(child.wait(), 1)
        dedupfs("umount", self.fs.path)
        self.fs.mount()
        self.assertTrue(self.status()["scrub"]["resumable"])
        result = self.scrub(expect=8)
        self.assertEqual(result["state"], "finished")
        self.assertLess(result["run_bytes"], result["total_bytes"])
        self.assertEqual(result["done_bytes"], result["total_bytes"])
        self.assertEqual(result["packs_done"], 8)
        self.assertEqual(result["damaged_chunks"], 1)
        self.assertEqual([file["path"] for file in result["damaged_file_list"]], ["/file7"])
        self.assertEqual(self.scrub("--restart", expect=8)["run_bytes"], result["total_bytes"])

    def test_a_signal_cancels_and_the_next_scrub_goes_on(self):
        self.write_packs(3, 100_000)
        self.fs.mount()
        child = self.start("--rate", "0.001")
        child.send_signal(signal.SIGINT)
        said, message = child.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(child.returncode, 1, said + message)
        self.assertIn("cancelled; the next one goes on", message)
        self.assertEqual(self.status()["scrub"]["state"], "cancelled")
        self.assertEqual(self.scrub()["packs_done"], 3)

    def test_a_second_scrub_joins_the_first_and_sets_its_rate(self):
        self.write_packs(3, 100_000)
        self.fs.mount()
        child = self.start("--rate", "0.001")
        self.assertIn("a scrub is running", dedupfs("status", self.fs.path).stdout)
        refused = dedupfs("scrub", "--restart", self.fs.path, expect=4)
        self.assertIn("a scrub is running", refused.stderr)
        self.assertIn("no damage", dedupfs("scrub", self.fs.path).stdout)
        child.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(child.returncode, 0)

    def test_unmounting_ends_a_scrub(self):
        self.write_packs(3, 100_000)
        self.fs.mount()
        child = self.start("--rate", "0.001")
        self.fs.umount()
        child.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(child.returncode, 1)
        self.assertEqual(self.scrub()["packs_done"], 3)

    def test_files_change_while_it_runs(self):
        self.fs.mount()
        ended = threading.Event()
        failures = []

        def work():
            try:
                for number in range(40):
                    data = os.urandom(200_000)
                    self.write(f"file{number % 5}", data)
                    if number % 10 == 9:
                        dedupfs("reclaim", self.fs.path)
                        dedupfs("recompress", self.fs.path)
                    if self.read(f"file{number % 5}") != data:
                        failures.append(number)
            finally:
                ended.set()

        worker = threading.Thread(target=work)
        worker.start()
        try:
            while True:
                last = ended.is_set()
                self.assertEqual(self.scrub()["damaged_chunks"], 0)
                if last:
                    break
        finally:
            worker.join()
        self.assertEqual(failures, [])
        self.fs.umount()
        self.fs.check()

    @staticmethod
    def all_of(master):
        """What a terminal was sent until the last program closed it."""
        shown = b""
        while True:
            try:
                shown += os.read(master, 1 << 16)
            except OSError:
                return shown

    def test_a_terminal_gets_a_bar_and_nothing_of_it_stays(self):
        self.write_packs(1, 100_000)
        master, slave = pty.openpty()
        with subprocess.Popen([harness.BINARY, "scrub", self.fs.store], stdout=subprocess.PIPE,
                              stderr=slave) as child:
            os.close(slave)
            shown = self.all_of(master).decode()
            said = child.stdout.read().decode()
        os.close(master)
        self.assertEqual(child.returncode, 0)
        self.assertIn("no damage", said)
        self.assertRegex(shown, r"\r\x1b\[Kscrub: \[[# ]{30}\] \d+ %, .* of ")
        self.assertTrue(shown.endswith("\r\x1b[K"), repr(shown))

    def test_lines_end_at_100_percent(self):
        self.write_packs(2, 100_000)
        lines = dedupfs("scrub", self.fs.store).stderr.splitlines()
        self.assertRegex(lines[-1], r"^scrub: 100 %, (.*) of \1")

    def test_a_read_only_mount_is_not_scrubbed(self):
        self.fs.mount("ro")
        self.assertIn("read-only", dedupfs("scrub", self.fs.path, expect=1).stderr)


if __name__ == "__main__":
    harness.run_cases()

#!/usr/bin/env python3
"""Programs that people run, and stressors, on a mount; afterwards the store must be whole.

WORKLOAD names one (see WORKLOADS); SECONDS is how long those run that could run for ever.
"""

import os
import shutil
import subprocess

import harness
import real_tree

WORKLOAD = os.environ.get("WORKLOAD", "ninja")
SECONDS = int(os.environ.get("SECONDS", "20"))
PROJECT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))

# Of the class "filesystem", without what is about a file system of its own (binderfs, ramfs), about
# /dev, /proc and /sys (dev-shm, procfs, sysfs ...), or needs what FUSE does not have (verity).
STRESSORS = ("access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dup fallocate "
             "fcntl fiemap file-ioctl filename flock fpunch fsize fstat getdent hdd io iomix lease "
             "link locka lockf lockofd mknod open rename seek sync-file symlink touch "
             "utime xattr").split()


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise harness.Skip(program, "it is not installed (tools/install-packages.sh soak)")


def run(*command, cwd=None, expect=(0,), **options):
    done = subprocess.run(command, cwd=cwd, text=True, capture_output=True, check=False, **options)
    said = done.stdout + done.stderr
    assert done.returncode in expect, f"{' '.join(command)}: exit {done.returncode}\n{said[-6000:]}"
    return said


def fio(fs):
    """Random writes of every size and alignment, verified at once and again after a remount."""
    need("fio")
    job = ["fio", "--name=job", f"--directory={fs.path}", "--numjobs=3", "--size=96m",
           "--rw=randwrite", "--bsrange=512-256k", "--bs_unaligned", "--ioengine=psync",
           "--verify=crc32c", "--verify_fatal=1", "--fsync=64", "--verify_state_save=0"]
    run(*job, "--do_verify=1")
    fs.remount()
    run(*job, "--verify_only")
    run(*job, "--overwrite=1", "--rw=randrw", "--do_verify=1", f"--runtime={SECONDS}",
        "--time_based")


def stress_ng(fs):
    """Each stressor alone, with two workers, checking what it does."""
    need("stress-ng")
    share = max(1, SECONDS // len(STRESSORS))
    faults = []
    for stressor in STRESSORS:
        # 4: the stressor has no work on this machine.
        said = run("stress-ng", f"--{stressor}", "2", "--temp-path", fs.path, "--verify",
                   "--timeout", f"{share}s", "--hdd-bytes", "64m", "--iomix-bytes", "64m",
                   "--fallocate-bytes", "64m", "--copy-file-bytes", "128m",
                   expect=(0, 1, 2, 3, 4))
        passed = "successful run" in said
        print(f"{stressor}: {('skipped' if 'skipp' in said else 'passed') if passed else 'failed'}",
              flush=True)
        if not passed:
            faults.append(f"--- {stressor}\n{said}")
    assert not faults, "\n".join(faults)
    assert os.listdir(fs.path) == []


def dbench(fs):
    """What file servers were loaded with by Windows clients."""
    need("dbench")
    said = run("dbench", "-D", fs.path, "-t", str(SECONDS), "4")
    print(said.splitlines()[-1])
    assert "Throughput" in said


def git(fs):
    """Commits, a clone over the protocol, gc, and fsck before and after a remount."""
    need("git")
    work, clone = fs.join("work"), fs.join("clone")
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost"]
    run("git", "init", "-q", work)
    for number, part in enumerate(("chunkstore", "fs", "tests", "docs")):
        shutil.copytree(os.path.join(PROJECT, part), os.path.join(work, part),
                        ignore=shutil.ignore_patterns("__pycache__"))
        run(*command, "add", "-A", cwd=work)
        run(*command, "commit", "-q", "-m", f"commit {number}", cwd=work)
    run("git", "clone", "-q", "--no-local", work, clone)
    run("git", "gc", "-q", "--aggressive", "--prune=now", cwd=clone)
    for _ in range(2):
        run("git", "fsck", "--full", "--strict", cwd=clone)
        assert run("git", "status", "--porcelain", cwd=clone) == ""
        assert run("git", "rev-parse", "HEAD", cwd=clone) == run("git", "rev-parse", "HEAD", cwd=work)
        fs.remount()


def make_source(directory):
    source = os.path.join(directory, "source")
    os.mkdir(source)
    real_tree.make_odd_names(os.path.join(source, "names"))
    real_tree.make_links_and_special_files(os.path.join(source, "links"))
    real_tree.make_sparse_files(os.path.join(source, "sparse"))
    real_tree.make_attributes(os.path.join(source, "attributes"), harness.seeded_random())
    shutil.copytree("/usr/include/linux", os.path.join(source, "linux"), symlinks=True)
    return source


# By default rsync takes times of the same second for the same, and leaves a folder as it is.
KEPT = ("-aHAX", "--modify-window=-1")


def rsync(fs):
    """-aHAX into the mount, nothing left to do after a remount, a change, and back out again."""
    need("rsync")
    source = make_source(os.path.dirname(fs.store))
    copy, back = fs.join("copy"), os.path.join(os.path.dirname(fs.store), "back")
    run("rsync", *KEPT, "--sparse", source + "/", copy)
    fs.remount()
    assert run("rsync", *KEPT, "--delete", "--checksum", "-n", "-i", source + "/", copy) == ""
    shutil.rmtree(os.path.join(source, "linux", "netfilter"))
    with open(os.path.join(source, "linux", "fs.h"), "ab") as file:
        file.write(b"more")
    said = run("rsync", *KEPT, "--delete", "-i", source + "/", copy)
    assert "linux/fs.h" in said and "*deleting" in said, said
    harness.compare_trees(source, copy)
    run("rsync", *KEPT, copy + "/", back)
    harness.compare_trees(source, back)


def tar(fs):
    """Unpacked into the mount, compared there, packed from there."""
    need("tar")
    source = make_source(os.path.dirname(fs.store))
    for name in ("socket", "fifo-link"):  # tar leaves sockets out, and links files only
        os.unlink(os.path.join(source, "links", name))
    archive, copy = fs.join("archive.tar"), fs.join("copy")
    back = os.path.join(os.path.dirname(fs.store), "back")
    kept = ["--acls", "--xattrs", "--xattrs-include=*", "--sparse"]
    run("tar", *kept, "--format=posix", "-C", source, "-cf", archive, ".")
    os.mkdir(copy)
    run("tar", *kept, "-p", "-C", copy, "-xf", archive)
    fs.remount()
    run("tar", *kept, "-C", copy, "--compare", "-f", archive)
    harness.compare_trees(source, copy)
    os.mkdir(back)
    run("tar", *kept, "--format=posix", "-C", copy, "-cf", archive, ".")
    run("tar", *kept, "-p", "-C", back, "-xf", archive)
    harness.compare_trees(source, back)


def ninja(fs):
    """A C++ project built in the mount; times hold, so that a remount leaves nothing to build."""
    need("ninja", "cmake", "c++")
    source, build = fs.join("project"), fs.join("project/build")
    os.mkdir(source)
    units = 24
    for number in range(units):
        with open(f"{source}/unit{number}.cc", "w", encoding="utf-8") as file:
            file.write("#include <map>\n#include <string>\n#include \"shared.h\"\n"
                       f"int Unit{number}() {{ std::map<std::string, int> all{{{{\"a\", {number}}}}}; "
                       "return all[\"a\"] + kShared; }\n")
    with open(f"{source}/shared.h", "w", encoding="utf-8") as file:
        file.write("constexpr int kShared = 1;\n")
    names = range(units)
    with open(f"{source}/main.cc", "w", encoding="utf-8") as file:
        file.write("#include <cstdio>\n" + "".join(f"int Unit{n}();\n" for n in names) +
                   "int main() { std::printf(\"%d\\n\", " +
                   " + ".join(f"Unit{n}()" for n in names) + "); }\n")
    with open(f"{source}/CMakeLists.txt", "w", encoding="utf-8") as file:
        file.write("cmake_minimum_required(VERSION 3.20)\nproject(p LANGUAGES CXX)\n"
                   "add_executable(program main.cc " +
                   " ".join(f"unit{n}.cc" for n in names) + ")\n")
    run("cmake", "-G", "Ninja", "-S", source, "-B", build)
    run("ninja", "-C", build, "-j", "4")
    expected = sum(range(units)) + units
    assert run(f"{build}/program") == f"{expected}\n"
    fs.remount()
    assert "no work to do" in run("ninja", "-C", build)
    with open(f"{source}/unit3.cc", "a", encoding="utf-8") as file:
        file.write("// changed\n")
    said = run("ninja", "-C", build, "-v")
    assert "unit3.cc" in said and "unit4.cc.o -c" not in said, said
    assert run(f"{build}/program") == f"{expected}\n"


WORKLOADS = {work.__name__: work for work in (fio, stress_ng, dbench, git, rsync, tar, ninja)}


def main():
    harness.need_fuse()
    if os.geteuid() != 0:
        raise harness.Skip("root", "owners, special files and trusted xattrs")
    with harness.work_directory() as directory, harness.Mount(directory) as fs:
        fs.mount()
        WORKLOADS[WORKLOAD](fs)
        fs.umount()
        fs.check()


if __name__ == "__main__":
    harness.run_script(main)

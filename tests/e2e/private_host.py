"""A machine of its own for servers that want fixed ports and directories.

The script runs again in new network, mount and process namespaces: loopback alone, empty tmpfs
where the servers keep their state, and /srv/photos, where the documents' examples export from.
Whatever was started there ends with the script, and nothing was made on the real file systems.
"""

import json
import os
import shutil
import subprocess
import sys

import harness

EXPORTED = "/srv/photos"
PRIVATE_DIRECTORIES = ("/run", "/srv", "/var/lib/samba", "/var/cache/samba", "/var/log/samba",
                       "/var/lib/nfs", "/var/log/ganesha")
MADE_WITHIN = (EXPORTED, "/run/samba", "/run/ganesha", "/var/lib/samba/private",
               "/var/lib/nfs/ganesha")
# What enter() does within them, on a directory that every machine has.
PROBE = ["sh", "-c", "mount -t tmpfs none /run && ip link set lo up"]
UNSHARE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
EXAMPLES = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "examples")


def enter(*programs):
    """Returns within the namespaces. Skips where they, or the programs, cannot be had."""
    try:
        harness.need_fuse()
        for program in programs:
            if shutil.which(program) is None:
                raise harness.Skip(program, "it is not installed (tools/install-packages.sh)")
        if os.environ.get("DEDUPFS_PRIVATE_HOST") != "1":
            _enter_namespaces()
    except harness.Skip as skip:
        print(f"SKIPPED: {skip}")
        sys.exit(0)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    if not os.path.isdir(os.path.dirname(EXPORTED)):
        _enter_root_with(os.path.dirname(EXPORTED))
    mounted = [directory for directory in PRIVATE_DIRECTORIES if os.path.isdir(directory)]
    for directory in mounted:
        subprocess.run(["mount", "-t", "tmpfs", "none", directory], check=True)
    for directory in MADE_WITHIN:
        if any(directory.startswith(above + "/") for above in mounted):
            os.makedirs(directory, exist_ok=True)


def why_no_namespaces():
    """What keeps this machine from having them; None if nothing does."""
    try:
        probe = subprocess.run([*UNSHARE, *PROBE], check=False, capture_output=True, text=True)
    except OSError as error:
        return str(error)
    return None if probe.returncode == 0 else probe.stderr.strip() or "they are refused"


def _enter_root_with(directory):
    """Changes to a root in a tmpfs, with all that / has bound into it, and the new directory."""
    root = "/run/root"
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    os.mkdir(root)
    for entry in os.scandir("/"):
        place = root + entry.path
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), place)
            continue
        if entry.is_dir():
            os.mkdir(place)
        else:
            with open(place, "xb"):
                pass
        subprocess.run(["mount", "--rbind", entry.path, place], check=True)
    os.mkdir(root + directory)
    here = os.getcwd()
    os.chroot(root)
    os.chdir(here)


def _enter_namespaces():
    why = why_no_namespaces()
    if why is not None:
        raise harness.Skip("namespaces", why)
    os.environ["DEDUPFS_PRIVATE_HOST"] = "1"
    os.environ["LC_ALL"] = "C.UTF-8"  # for the clients
    sys.stdout.flush()
    os.execvp(UNSHARE[0], [*UNSHARE, sys.executable, *sys.argv])


class ExportedMount(harness.Mount):
    """A store, mounted where the examples export from."""

    def __init__(self, directory):
        super().__init__(directory)
        self.path = EXPORTED

    def unique_bytes(self):
        self.sync()
        return self.stats()["unique_bytes"]

    def bytes_read_by_daemon(self):
        """Content that was written to the mount, as requests of the kernel, and what packs gave."""
        pid = json.loads(harness.dedupfs("status", "--json", self.store).stdout)["pid"]
        with open(f"/proc/{pid}/io", encoding="ascii") as file:
            return int(file.readline().removeprefix("rchar:"))


def end(process):
    """Ends a server that the script started, by SIGTERM, and waits for it."""
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def example(name):
    return os.path.realpath(os.path.join(EXAMPLES, name))

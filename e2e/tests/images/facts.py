"""Serves files, and under /facts what a process sees of its container."""
import errno
import json
import os
import resource
import signal
import socket
import stat
import sys
from http.server import HTTPServer, SimpleHTTPRequestHandler


def attempt(path, flags):
    """The name of the error of opening a file, or "ok"."""
    try:
        os.close(os.open(path, flags))
        return "ok"
    except OSError as error:
        return errno.errorcode[error.errno]


def mode(path):
    return oct(stat.S_IMODE(os.stat(path).st_mode))


def cgroup(two, one):
    """The first line of a control group file, of version 2 or 1."""
    for path in ("/sys/fs/cgroup/" + two, "/sys/fs/cgroup/" + one):
        if os.path.exists(path):
            return {"text": open(path).readline().strip(), "writing": attempt(path, os.O_WRONLY)}
    return None


def facts():
    return {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": sorted(os.getgroups()),
        "cwd": os.getcwd(),
        "home": os.environ.get("HOME"),
        "removed": os.path.lexists("/usr/bin/tail"),
        "emptied": os.listdir("/var/lib/dpkg/info"),
        "replaced": os.path.islink("/media") and os.readlink("/media"),
        "linked": open("/srv/link").read(),
        "one_file": os.stat("one").st_ino == os.stat("two").st_ino,
        "capability": os.getxattr("/usr/local/bin/capped", "security.capability").hex(),
        "su": mode("/bin/su"),
        "tmp": mode("/tmp"),
        "devices": [
            name
            for name in ("full", "null", "ptmx", "random", "tty", "urandom", "zero")
            if stat.S_ISCHR(os.stat("/dev/" + name).st_mode)
        ],
        "console": os.path.exists("/dev/console"),
        "streams": [os.readlink("/dev/" + name) for name in ("fd", "stdin", "stdout", "stderr")],
        "stdin": len(os.read(0, 1)),
        "proc_sys": bool(os.statvfs("/proc/sys").f_flag & os.ST_RDONLY),
        "memory": cgroup("memory.max", "memory/memory.limit_in_bytes"),
        "cpu": cgroup("cpu.max", "cpu/cpu.cfs_quota_us"),
        "resolv": mode("/etc/resolv.conf"),
        "hosts": open("/etc/hosts").read(),
        "hostname": open("/etc/hostname").read().strip() == socket.gethostname(),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/facts":
            return super().do_GET()
        body = json.dumps(facts()).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


# The first process of a container gets no default action: without this it would live until the grace period ends.
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()

#!/usr/bin/env python3
"""A disk that fails and loses power at will.

In: a directory to appear in, a size in MiB, orders on standard input, a line each. Out: DIR/disk, for a loop device with a real
file system on it; a line in answer to each order. Never: a write that it was not given, or one older than the last flush lost.

    log            from here on each write and flush is kept, with its time (those before are on the platter)
    fail | heal    writes and flushes answer EIO; again as usual
    cuts           how many entries the log has:            "cuts 812"
    cut N SEED     DIR/after-N-SEED: what is on the platter when the power goes after entry N: every write up to the last
                   flush, and of those since any choice, each perhaps with only some of its sectors.  "cut NANOSECONDS", its time

Speaks the kernel's FUSE protocol itself (linux/fuse.h): no library, and the log is of what the file system under test really sent.
"""
import ctypes, errno, os, random, select, struct, sys, time

ROOT, DISK, AFTER = 1, 2, 3
SECTOR, MAX_WRITE = 512, 128 << 10

class Disk:
    def __init__(self, mib):
        self.now = bytearray(mib << 20)
        self.failing = False
        self.base, self.log = None, []
        self.after, self.name, self.node = None, None, AFTER

    def write(self, at, data):
        if self.failing:
            return -errno.EIO
        self.now[at:at + len(data)] = data
        if self.base is not None:
            self.log.append((time.time_ns(), at, data))
        return len(data)

    def flush(self):
        if self.failing:
            return -errno.EIO
        if self.base is not None:
            self.log.append((time.time_ns(), None, None))
        return 0

    def cut(self, n, seed):
        chance = random.Random(seed)
        kept = max([i + 1 for i, (_, at, _) in enumerate(self.log[:n]) if at is None], default=0)
        image = bytearray(self.base)
        for i, (_, at, data) in enumerate(self.log[:n]):
            if at is None:
                continue
            for piece in range(0, len(data), SECTOR):
                if i < kept or luck(chance, piece == 0, self):
                    image[at + piece:at + piece + SECTOR] = data[piece:piece + SECTOR]
        self.after, self.name, self.node = image, b"after-%d-%d" % (n, seed), self.node + 1
        return self.log[n - 1][0]

def luck(chance, first, disk):
    """One throw for a whole write; in one of eight writes a throw for each sector."""
    if first:
        disk.torn, disk.lucky = chance.random() < 0.125, chance.random() < 0.5
    return chance.random() < 0.5 if disk.torn else disk.lucky

def attributes(disk, node):
    if node == ROOT:
        size, mode = 0, 0o40755
    else:
        size, mode = len(disk.now), 0o100600
    return struct.pack("<6Q10I", node, size, size // SECTOR, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

def answer(disk, op, node, body):
    """None: nothing is answered. A number: an error. Bytes: the answer."""
    content = {DISK: disk.now, disk.node: disk.after}.get(node)
    if op in (2, 42):  # FORGET, BATCH_FORGET
        return None
    if op == 26:  # INIT: big writes, and how large
        readahead = struct.unpack_from("<I", body, 8)[0]
        return struct.pack("<4I2H2I2H2I6I", 7, 31, readahead, 1 << 5 | 1 << 22, 12, 10, MAX_WRITE, 1, MAX_WRITE >> 12, 0, 0, 0, *[0] * 6)
    if op == 1:  # LOOKUP
        name = body.split(b"\0")[0]
        found = DISK if name == b"disk" else disk.node if name == disk.name else None
        if found is None:
            return -errno.ENOENT
        return struct.pack("<4Q2I", found, 0, 0, 3600, 0, 0) + attributes(disk, found)
    if op in (3, 4):  # GETATTR, SETATTR
        return struct.pack("<Q2I", 3600, 0, 0) + attributes(disk, node)
    if op in (14, 27):  # OPEN, OPENDIR
        return struct.pack("<Q2I", 0, 0, 0)
    if op == 15:  # READ
        _, at, size = struct.unpack_from("<QQI", body)
        return bytes(content[at:at + size]) if content is not None else -errno.ESTALE
    if op == 16:  # WRITE
        _, at, size = struct.unpack_from("<QQI", body)
        data = bytes(body[40:40 + size])
        if node == DISK:
            done = disk.write(at, data)
        elif content is not None:
            content[at:at + size] = data
            done = size
        else:
            done = -errno.ESTALE
        return done if done < 0 else struct.pack("<2I", done, 0)
    if op == 20:  # FSYNC
        done = disk.flush() if node == DISK else 0
        return done if done < 0 else b""
    if op == 17:  # STATFS
        return struct.pack("<5Q10I", 1 << 20, 1 << 19, 1 << 19, 8, 8, 4096, 255, 4096, 0, *[0] * 6)
    if op in (18, 25, 29):  # RELEASE, FLUSH, RELEASEDIR
        return b""
    if op == 28:  # READDIR
        return b""
    if op == 43:  # FALLOCATE: nothing can be discarded
        return -errno.EOPNOTSUPP
    return -errno.ENOSYS

def order(disk, words):
    if words == ["log"]:
        disk.base, disk.log = bytes(disk.now), []
        return "log"
    if words in (["fail"], ["heal"]):
        disk.failing = words == ["fail"]
        return words[0]
    if words == ["cuts"]:
        return f"cuts {len(disk.log)}"
    if len(words) == 3 and words[0] == "cut":
        return f"cut {disk.cut(int(words[1]), int(words[2]))}"
    return f"no such order: {words}"

def main(directory, mib):
    fuse = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    how = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % fuse
    if libc.mount(b"disk", directory.encode(), b"fuse", 2 | 4, how):
        sys.exit(f"disk.py: mount: {os.strerror(ctypes.get_errno())}")
    disk, typed = Disk(mib), b""
    print("ready", flush=True)
    while True:
        ready = select.select([fuse, 0], [], [])[0]
        if fuse in ready:
            try:
                asked = os.read(fuse, MAX_WRITE + 4096)
            except OSError as e:
                if e.errno == errno.ENODEV:
                    return
                continue
            _, op, unique, node = struct.unpack_from("<2I2Q", asked)
            said = answer(disk, op, node, memoryview(asked)[40:].tobytes())
            if said is not None:
                error, body = (said, b"") if isinstance(said, int) else (0, said)
                try:
                    os.write(fuse, struct.pack("<IiQ", 16 + len(body), error, unique) + body)
                except OSError as e:
                    if e.errno != errno.ENOENT:  # who asked is gone
                        raise
        if 0 in ready:
            some = os.read(0, 4096)
            if not some:
                libc.umount2(directory.encode(), 2)
                return
            typed += some
            while b"\n" in typed:
                line, typed = typed.split(b"\n", 1)
                print(order(disk, line.decode().split()), flush=True)

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

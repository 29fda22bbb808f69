"""In: the name of a console and a machine's public host keys. Out: what Nova would return of it, as cloud-init 22.4 prints it.
Never: a private key."""
import base64
import hashlib
import random

HEAD = "#############################################################"
# A machine's that never was; tests of real amphorae give those of the amphora.
SAMPLE_KEYS = """\
ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBIzK55SmoTPIp+ohr2NFgRHvKVlleZypzpV5wI8QwZB4bp79OnF7E4aHgz4g5YpQf7+Xqppglbnt+J1gybEQjBQ=
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHj5xXi/+kejVJnpaxaISsAX61QtOqetTEoB98EbV9cd
"""
FORGED_KEYS = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "Bad" * 14 + "A\n"
BITS = {"ssh-ed25519": (256, "ED25519"), "ecdsa-sha2-nistp256": (256, "ECDSA"), "ssh-rsa": (3072, "RSA")}

# Nova's own ways to say no.
REFUSALS = {
    "missing": (404, {"itemNotFound": {"code": 404, "message": "Instance could not be found."}}),
    "conflict": (409, {"conflictingRequest": {"code": 409, "message": "Instance is not ready"}}),
    "unsupported": (501, {"notImplemented": {"code": 501, "message": "Unable to get console log, functionality not implemented"}}),
    "forbidden": (403, {"forbidden": {"code": 403, "message": "Policy doesn't allow os_compute_api:os-console-output to be performed."}}),
}

BOOT = """\
[    0.000000] Linux version 6.1.0-amphora (root@build) #1 SMP
[    0.000000] Command line: BOOT_IMAGE=/boot/vmlinuz root=LABEL=cloudimg-rootfs ro console=tty1 console=ttyS0
[    1.402113] EXT4-fs (vda1): mounted filesystem with ordered data mode
[    3.911020] cloud-init[412]: Cloud-init v. 22.4.2 running 'init' at Sun, 22 Nov 2026 10:40:49 +0000. Up 3.90 seconds.
"""
LOGIN = "\nUbuntu 22.04.5 LTS {host} ttyS0\n\n{host} login: \n"


def parse(text, host):
    """(type, base64, host) of each line of keys; names in front (ssh-keyscan) and comments are passed over."""
    for line in text.splitlines():
        words = line.split()
        for n, word in enumerate(words[:-1]):
            if word in BITS:
                yield word, words[n + 1], host
                break


def prints(keys):
    yield HEAD
    yield "-----BEGIN SSH HOST KEY FINGERPRINTS-----"
    for kind, data, host in keys:
        digest = base64.b64encode(hashlib.sha256(base64.b64decode(data + "==")).digest()).decode().rstrip("=")
        yield f"{BITS[kind][0]} SHA256:{digest} root@{host} ({BITS[kind][1]})"
    yield "-----END SSH HOST KEY FINGERPRINTS-----"
    yield HEAD


def block(text, host):
    """cloud-init's two blocks: fingerprints by logger, and keys without a prefix."""
    keys = list(parse(text, host))
    first = [f"<14>Nov 22 10:40:51 cloud-init: {line}" for line in prints(keys)]
    second = ["-----BEGIN SSH HOST KEY KEYS-----", *(f"{kind} {data} root@{host}" for kind, data, host in keys), "-----END SSH HOST KEY KEYS-----"]
    return "\n".join([*first, *second]) + "\n"


def noise(size, seed):
    """A journal that says nothing, the same for the same seed."""
    dice = random.Random(seed)
    lines = []
    while size > 0:
        lines.append(f"[{dice.uniform(4, 9e5):12.6f}] haproxy[{dice.randrange(400, 9000)}]: " + "".join(dice.choices("abcdef 0123456789", k=80)))
        size -= len(lines[-1]) + 1
    return "\n".join(lines) + "\n"


def shapes(good, forged, login, keys, server):
    """Every console by its name."""
    begin = "-----BEGIN SSH HOST KEY KEYS"
    end = "-----END SSH HOST KEY KEYS-----"
    return {
        "good": BOOT + good + login,
        # cloud-init prints once per instance: a reboot adds a boot without keys.
        "two-boots": BOOT + good + login + BOOT + login,
        "same-twice": BOOT + good + login + BOOT + good + login,
        "new-keys": BOOT + forged + login + BOOT + good + login,
        "cut-end": BOOT + good[:good.rindex("ssh-ed25519") + 40],
        "cut-begin": good[good.index(begin) + len(begin) + 5:] + login,
        "cut-line": BOOT + good.replace("ssh-ed25519 AAAA", "ssh-ed25519 AA") + login,
        "forged-second": BOOT + good + login + forged,
        "forged-before": forged + BOOT + good + login,
        "forged-inside": BOOT + good.replace(end, FORGED_KEYS + end) + login,
        "other-host": BOOT + block(keys, "amphora-00000000-0000-4000-8000-000000000000") + login,
        "prints-only": BOOT + good[:good.index(begin)] + login,
        "mismatch": BOOT + forged[:forged.index(begin)] + good[good.index(begin):] + login,
        # The kernel writes to the same line discipline whenever it likes.
        "interleaved": BOOT + good.replace("\nssh-ed25519 A", "\n[    5.000001] random: crng init done\nssh-ed25519 A") + login,
        "crlf": (BOOT + good + login).replace("\n", "\r\n"),
        "escapes": BOOT + "\x1b]0;owned\x07\x1b[2J" + good.replace("ssh-ed25519", "\x1b[31mssh-ed25519") + login,
        "noise": noise(100 << 10, server),
        "noise-after": BOOT + good + login + noise(50 << 10, server),
        # What libvirt keeps is a ring of 100 KiB: the keys of a long-lived amphora are gone.
        "overrun": (BOOT + good + login + noise(100 << 10, server))[-(100 << 10):],
        "long-line": BOOT + "x" * (100 << 10) + "\n" + good + login,
        "none": "",
    }


KINDS = tuple(shapes(block(SAMPLE_KEYS, "h"), block(FORGED_KEYS, "h"), "", SAMPLE_KEYS, "s"))


def text(kind, host, keys):
    """One console of the machine called `host`."""
    return shapes(block(keys, host), block(FORGED_KEYS, host), LOGIN.format(host=host), keys, host)[kind]

#!/usr/bin/env python3
"""A second reader of ampgate's recordings, written from docs/RECORDING-FORMAT.md alone.

  ampgate_read.py verify [--key SEALING.PUB] [--head OFFSET:BLAKE3] FILE…   one verdict a line
  ampgate_read.py cast --identity FILE… RECORDING                           the cast inside a sealed recording
  ampgate_read.py keys --identity FILE… RECORDING                           its data key, then chain and frame keys, in hex
"""

import argparse
import base64
import hashlib
import json
import sys

import blake3
import zstandard
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CHAIN = "ampgate sealed recording v1: chain key from data key and first line"
FRAME = "ampgate sealed recording v1: frame key from chain key"
NEXT = "ampgate sealed recording v1: next chain key from chain key"
HEAD_LENGTH = 15
HISTORY = (64 << 10) - 1
MAGIC = bytes.fromhex("28b52ffd")


class Bad(Exception):
    """A verdict that nothing behind it can change."""


# Sealing keys ------------------------------------------------------------------------------------

def public_key(openssh):
    blob = base64.b64decode(openssh.split()[1])
    return blob[-32:], "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def signed(raw, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
        return True
    except InvalidSignature:
        return False


# Records -----------------------------------------------------------------------------------------

def frame_head(record):
    kind, number, tag = record[0], int.from_bytes(record[1:5], "big"), record[5:9]
    plain, history, inside = (int.from_bytes(record[at:at + 2], "big") for at in (9, 11, 13))
    plain, inside = plain + 1, inside + 1
    fits = 0 < inside < plain if kind == 1 else inside == plain and history == 0
    if kind not in (1, 2) or not fits or number == 0:
        return None
    return {"compressed": kind == 1, "number": number, "tag": tag, "plain": plain, "history": history,
            "sealed": inside + 16}


def records(data, sealed):
    """(offset, bytes, is a frame, is whole) after one another."""
    at = 0
    while at < len(data):
        if sealed and at > 0 and data[at] in (1, 2):
            head = frame_head(data[at:at + HEAD_LENGTH]) if len(data) - at >= HEAD_LENGTH else None
            end = at + HEAD_LENGTH + (head["sealed"] if head else 0)
            yield at, data[at:end], True, len(data) >= end
        else:
            newline = data.find(b"\n", at)
            end = newline + 1 if newline >= 0 else len(data)
            yield at, data[at:end], False, newline >= 0
        at = end


# Verification ------------------------------------------------------------------------------------

def verify(data, trusted=None, head=None):
    newline = data.find(b"\n")
    first = data[:newline + 1]
    if newline < 0:
        begun = data.startswith((b'{"version":3', b'{"ampgate_sealed":'))
        return "truncated" if begun else "not a recording"
    try:
        header = json.loads(first)
        sealed = "ampgate_sealed" in header
        about = header if sealed else header["ampgate"]
        session = about["session"]
        raw, fingerprint = public_key(trusted or about["sealing_key"])
        if (header["ampgate_sealed"] if sealed else about["format"]) != 1:
            return "not a recording"
    except (ValueError, KeyError, IndexError, TypeError):
        return "not a recording"
    try:
        verdict = walk(data, first, sealed, session, raw, fingerprint)
    except Bad as bad:
        return str(bad)
    if head:
        offset, digest = head.split(":")
        if len(data) < int(offset):
            return "truncated"
        if blake3.blake3(data[:int(offset)]).hexdigest() != digest:
            return "altered: the journal remembers another hash"
    return verdict


def walk(data, first, sealed, session, raw, fingerprint):
    tag, seen, missing = blake3.blake3(first).digest()[:4], 0, None
    hasher, hashed = blake3.blake3(), 0
    marks, count, ended, died, final, cut = {}, 0, None, False, False, False
    for offset, record, is_frame, whole in records(data, sealed):
        if final:
            raise Bad("altered: bytes after the final proof")
        end = offset + len(record)
        cut = cut or not whole
        if is_frame and whole:
            frame = frame_head(record)
            if frame is None:
                raise Bad("altered: a frame that no recorder writes")
            if frame["tag"] != tag:
                raise Bad("altered: a frame of another recording")
            if frame["number"] == missing:
                raise Bad("altered: frames have changed places")
            if frame["number"] <= seen:
                raise Bad("altered: a frame is there twice")
            if frame["number"] > seen + 1 and missing is None:
                missing = seen + 1
            seen = frame["number"]
        words = (b"# head ", b"# proof ", b"# end ", b"# died ")
        if sealed and offset > 0 and whole and not is_frame and not record.startswith(words):
            raise Bad("altered: neither a frame nor a proof")
        if missing is not None or is_frame or not whole:
            continue
        if record.startswith((b"# head ", b"# end ")):
            hasher.update(data[hashed:end])
            hashed, count = end, count + 1
            marks[count] = (end, hasher.digest())
            if record.startswith(b"# end "):
                ended = count
            elif record != b"# head %d\n" % count:
                raise Bad("altered: a mark out of order")
        elif record.startswith(b"# proof "):
            final = proof(record, offset, marks, session, raw, fingerprint, ended)
        elif record.startswith(b"# died "):
            died = True
    if missing is not None:
        raise Bad("altered: a frame is missing")
    if final:
        return "intact"
    if cut:
        return "truncated"
    return "unsealed: " + ("never sealed" if ended else "recorder died" if died else "crashed")


def proof(record, offset, marks, session, raw, fingerprint, ended):
    try:
        said = json.loads(record[8:])
        order = ["n", "offset", "blake3", "key", "sig"] + (["final"] if said.get("final") else [])
        spelled = json.dumps({name: said[name] for name in order}, separators=(",", ":"))
        if b"# proof " + spelled.encode() + b"\n" != record:
            raise Bad("altered: a proof is unreadable")
        signature = base64.b64decode(said["sig"], validate=True)
    except (ValueError, KeyError):
        raise Bad("altered: a proof is unreadable") from None
    if said["n"] not in marks:
        raise Bad("altered: a proof without its mark")
    at, digest = marks.pop(said["n"])
    message = b"ampgate recording head v1\0" + session.encode() + at.to_bytes(8, "big") + digest
    good = len(signature) == 64 and signed(raw, message, signature)
    if said["offset"] != at or said["blake3"] != digest.hex():
        raise Bad("altered: the hash differs")
    if said["key"] != fingerprint:
        raise Bad("altered: a proof names another key than signed it" if good else "foreign key")
    if not good:
        raise Bad("bad signature")
    final = bool(said.get("final"))
    if final != (ended == said["n"]):
        raise Bad("altered: a proof in the middle is passed off as the final one, or the reverse")
    if final and at != offset:
        raise Bad("altered: bytes between the ending and the final proof")
    return final


# age (https://c2sp.org/age), X25519 only ---------------------------------------------------------

def hkdf(key, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def unpadded(text):
    return base64.b64decode(text + "=" * (-len(text) % 4))


def identities(path):
    alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    for line in open(path, encoding="ascii"):
        line = line.strip().lower()
        if line.startswith("age-secret-key-1"):
            digits = [alphabet.index(c) for c in line[len("age-secret-key-1"):-6]]
            number = 0
            for digit in digits:
                number = number << 5 | digit
            yield X25519PrivateKey.from_private_bytes((number >> (len(digits) * 5 - 256)).to_bytes(32, "big"))


def age_decrypt(data, identity):
    mine = identity.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    end = data.index(b"\n---") + 4
    mac_line, payload = data[end:].split(b"\n", 1)
    lines = data[:end].decode().split("\n")
    for number, line in enumerate(lines):
        words = line.split(" ")
        if words[:2] != ["->", "X25519"]:
            continue
        share = unpadded(words[2])
        wrap = hkdf(identity.exchange(X25519PublicKey.from_public_bytes(share)), share + mine,
                    b"age-encryption.org/v1/X25519")
        try:
            file_key = ChaCha20Poly1305(wrap).decrypt(bytes(12), unpadded(lines[number + 1]), None)
        except InvalidTag:
            continue
        mac = hmac.HMAC(hkdf(file_key, b"", b"header"), hashes.SHA256())
        mac.update(data[:end])
        mac.verify(unpadded(mac_line.strip().decode()))
        stream = hkdf(file_key, payload[:16], b"payload")
        return ChaCha20Poly1305(stream).decrypt(bytes(11) + b"\1", payload[16:], None)
    return None


# Opening -----------------------------------------------------------------------------------------

def times(a, b):
    """In GF(256) with x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


def over(a, b):
    inverse = 1
    for _ in range(254):
        inverse = times(inverse, b)
    return times(a, inverse)


def interpolate(shares):
    """Shamir's polynomial at zero."""
    secret = bytearray(32)
    for x, *y in shares:
        weight = 1
        for other, *_ in shares:
            if other != x:
                weight = times(weight, over(other, other ^ x))
        for at, value in enumerate(y):
            secret[at] ^= times(weight, value)
    return bytes(secret)


def data_key(header, files):
    parts = []
    for one in header["recipients"]:
        for identity in (identity for path in files for identity in identities(path)):
            part = age_decrypt(base64.b64decode(one["wrapped"]), identity)
            if part is not None and part not in parts:
                parts.append(part)
    if header["needed"] == 1:
        return parts[0] if parts else sys.exit("none of these identities is a recipient")
    if len(parts) < header["needed"]:
        sys.exit(f"{len(parts)} of the {header['needed']} auditors needed are here")
    return interpolate(parts[:header["needed"]])


def opened(data, files):
    """(the chain key before it, its own key, the plain bytes) of each frame."""
    first = data[:data.index(b"\n") + 1]
    chain = blake3.blake3(data_key(json.loads(first), files) + blake3.blake3(first).digest(),
                          derive_key_context=CHAIN).digest()
    history, number = b"", 0
    for _, record, is_frame, whole in records(data, True):
        if not is_frame or not whole:
            continue
        frame, number = frame_head(record), number + 1
        if frame["tag"] != blake3.blake3(first).digest()[:4] or frame["number"] != number:
            sys.exit(f"another frame stands in the place of frame {number}")
        key = blake3.blake3(chain, derive_key_context=FRAME).digest()
        try:
            plain = AESGCM(key).decrypt(bytes(12), record[HEAD_LENGTH:], record[:HEAD_LENGTH])
        except InvalidTag:
            sys.exit(f"frame {number} does not open")
        if frame["compressed"]:
            before = history[len(history) - frame["history"]:]
            prefix = zstandard.ZstdCompressionDict(before, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
            plain = zstandard.ZstdDecompressor(dict_data=prefix if before else None).decompress(
                MAGIC + plain, max_output_size=frame["plain"])
        yield chain, key, plain
        chain = blake3.blake3(chain, derive_key_context=NEXT).digest()
        history = (history + plain)[-HISTORY:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["verify", "cast", "keys"])
    parser.add_argument("--key")
    parser.add_argument("--head")
    parser.add_argument("--identity", action="append", default=[])
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    for path in args.files:
        data = open(path, "rb").read()
        if args.what == "verify":
            print(verify(data, open(args.key, encoding="ascii").read() if args.key else None, args.head))
        elif args.what == "cast":
            for _, _, plain in opened(data, args.identity):
                sys.stdout.buffer.write(plain)
        else:
            print(data_key(json.loads(data[:data.index(b"\n")]), args.identity).hex())
            for chain, key, _ in opened(data, args.identity):
                print(chain.hex(), key.hex(), sep="\n")


main()

#!/usr/bin/env python3
"""trim_cuda.py LIBRARY ARCH - empties what a CUDA library holds for other architectures, so that it compresses to a fourth.

ARCH: 90 for an H100 or H200. Kept is the machine code of that architecture; where there is none, the PTX of the highest one
that is not above it, which the driver compiles. All else in .nv_fatbin becomes zeros in its place: sizes and headers stay, and
the driver looks only into the entry that it takes. Fails when nothing would be left.

Source of the layout: NVIDIA publishes none; 0xba55ed50, version, header, bytes; then entries of kind (1 = PTX, 2 = machine
code), header and payload bytes, architecture at byte 28 (as cuobjdump --list-elf and --list-ptx name them).
"""
import struct
import sys

MAGIC, PTX, CODE = 0xBA55ED50, 1, 2


def section(data, wanted):
    """(offset, bytes) of a section of a 64-bit little-endian ELF file."""
    offset, = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", data, offset + i * size) for i in range(count)]
    for name, _, _, _, at, length in headers:
        start = headers[names][4] + name
        if data[start:data.index(b"\0", start)] == wanted:
            return at, length
    raise SystemExit(f"trim_cuda.py: no section {wanted.decode()}: no CUDA library")


def containers(data, begin, end):
    """For each, its entries: (kind, architecture, offset of the payload, bytes)."""
    while begin < end:
        magic, _, header, length = struct.unpack_from("<IHHQ", data, begin)
        if magic != MAGIC:
            begin += 8  # between them is padding
            continue
        at, stop, entries = begin + header, begin + header + length, []
        while at < stop:
            kind, _, entry, payload = struct.unpack_from("<HHIQ", data, at)
            arch, = struct.unpack_from("<I", data, at + 28)
            entries.append((kind, arch, at + entry, payload))
            at += entry + payload
        yield entries
        begin = stop


def main():
    path, arch = sys.argv[1], int(sys.argv[2])
    with open(path, "rb") as file:
        data = bytearray(file.read())
    begin, length = section(data, b".nv_fatbin")
    kept = 0
    for entries in containers(data, begin, begin + length):
        fits = [e for e in entries if e[:2] == (CODE, arch)]
        if not fits:
            ptx = [e for e in entries if e[0] == PTX and e[1] <= arch]
            fits = [e for e in ptx if e[1] == max(p[1] for p in ptx)]
        if not fits:
            raise SystemExit(f"trim_cuda.py: {path}: nothing for architecture {arch}")
        for entry in entries:
            if entry in fits:
                kept += entry[3]
            else:
                data[entry[2]:entry[2] + entry[3]] = bytes(entry[3])
    with open(path, "wb") as file:
        file.write(data)
    print(f"{path}: {kept >> 20} of {length >> 20} MiB are for architecture {arch}")


if __name__ == "__main__":
    main()

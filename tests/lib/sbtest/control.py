"""A copied cluster has the system identifier of its original. Tests need clusters that are strangers, so the copy gets
an identifier of its own, in the two places that hold it:

- global/pg_control: the first 8 bytes; a CRC-32C over the structure follows at its end, whose place depends on the
  version and is found by trying (src/include/catalog/pg_control.h, struct ControlFileData);
- the first page of each WAL segment: 8 bytes at offset 24 of the long page header, without check sum
  (src/include/access/xlog_internal.h, struct XLogLongPageHeaderData).

The server checks both when it starts, so a mistake here cannot pass unnoticed.
"""

import os
import pathlib
import struct

_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = (_byte >> 1) ^ 0x82F63B78 if _byte & 1 else _byte >> 1
    _TABLE.append(_byte)

XLP_LONG_HEADER = 0x0002


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _crc_offset(control):
    crc = 0xFFFFFFFF
    for at, byte in enumerate(control[:512]):
        if at >= 200 and at % 4 == 0 and struct.unpack_from("<I", control, at)[0] == crc ^ 0xFFFFFFFF:
            return at
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    raise ValueError("no check sum found in pg_control: a version this does not know")


def renew_system_identifier(data):
    """Give the stopped cluster in directory data a random system identifier."""
    path = pathlib.Path(data) / "global/pg_control"
    control = bytearray(path.read_bytes())
    at = _crc_offset(control)
    old, new = bytes(control[:8]), struct.pack("<Q", int.from_bytes(os.urandom(8), "big") >> 1)
    control[:8] = new
    struct.pack_into("<I", control, at, crc32c(control[:at]))
    path.write_bytes(control)
    for segment in (pathlib.Path(data) / "pg_wal").iterdir():
        if segment.is_file():
            with open(segment, "r+b") as file:
                header = file.read(40)
                if struct.unpack_from("<H", header, 2)[0] & XLP_LONG_HEADER and header[24:32] == old:
                    file.seek(24)
                    file.write(new)

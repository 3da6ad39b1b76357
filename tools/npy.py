"""The part of NumPy's .npy format that the tools need: float64 and int64 arrays with one or two dimensions, C order.

Format: magic string, version 1.0, length of the header, a Python dictionary as text padded to 64 bytes, the entries
(numpy.lib.format). Only the standard library is used.
"""

import array
import ast
import struct
import sys

MAGIC = b"\x93NUMPY"
KINDS = {"<f8": "d", "<i8": "q"}


class NpyError(Exception):
    """A file of another form; the message says what is wrong."""


def write(path, values, shape):
    """Writes a flat array of type 'd' or 'q' with the given shape."""
    kind = {code: name for name, code in KINDS.items()}[values.typecode]
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {tuple(shape)!r}, }}"
    header += " " * (-(len(MAGIC) + 4 + len(header) + 1) % 64) + "\n"
    data = array.array(values.typecode, values)
    if sys.byteorder == "big":
        data.byteswap()
    with open(path, "wb") as file:
        file.write(MAGIC + bytes((1, 0)) + struct.pack("<H", len(header)) + header.encode("latin1"))
        data.tofile(file)


def header(path):
    """The shape and the type's name in the header of a file."""
    with open(path, "rb") as file:
        start = file.read(8)
        if len(start) < 8 or start[:6] != MAGIC:
            raise NpyError(f"{path} is no .npy file")
        size = struct.unpack("<H", file.read(2))[0] if start[6] == 1 else struct.unpack("<I", file.read(4))[0]
        try:
            entries = ast.literal_eval(file.read(size).decode("latin1"))
            return tuple(entries["shape"]), entries["descr"]
        except (ValueError, SyntaxError, KeyError, TypeError) as error:
            raise NpyError(f"{path} has no readable header") from error


def read(path):
    """A whole file as a flat array, and its shape."""
    shape, kind = header(path)
    if kind not in KINDS:
        raise NpyError(f"{path} holds entries of type {kind}")
    count = 1
    for size in shape:
        count *= size
    values = array.array(KINDS[kind])
    with open(path, "rb") as file:
        file.seek(-8 * count, 2)
        values.fromfile(file, count)
    if sys.byteorder == "big":
        values.byteswap()
    return values, shape

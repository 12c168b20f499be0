"""How the processes of a pool talk: a length, then so many bytes of JSON. Control messages are datagrams of JSON."""

import struct

FRAME = struct.Struct(">I")
MESSAGE_BYTES = 4096
"""Longest control message."""

"""Importing this module is the permission `keyward:policy/sealing`: it lets the methods of `Key` work."""

from ._permissions import grant

grant("sealing")

"""Importing this module is the permission `keyward:policy/macs`: it lets the methods of `Key` work."""

from ._permissions import grant

grant("macs")

"""Importing this module is the permission `keyward:policy/verifying`: it lets the methods of `Key` work."""

from ._permissions import grant

grant("verifying")

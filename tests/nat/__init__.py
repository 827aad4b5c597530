"""Tests of the NAT proxy's parts that need no peer."""

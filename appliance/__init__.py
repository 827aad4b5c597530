"""
One process that shares a few scarce public addresses among many names.

A DNS answer is a lease::

    client --query--> nameserver --asks--> SharedState --rules--> leasing, naming
                                               |  opens the data path, then answers
    client --traffic-> nat  --counts-------->  |
                       reaper --deadlines--->  |  takes back what nobody uses

``docs/architecture.rst`` draws the ranks and rooms; ``tests/test_imports.py`` holds them.
"""

__version__ = "0.1.0"

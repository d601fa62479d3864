"""Virtual machines that run a command of this checkout on another Linux kernel.

`packages` gets a kernel from Debian, `modules` finds what to load in it, `files` and `cpio` put Python and
the project into an initial RAM disk, `guest_init` is the first process there, `machine` runs qemu. By
hand: `PYTHONPATH=tests/kernels .venv/bin/python -m kernelvm 6.1 -- wardgate --version`.
"""

"""What runs inside a guest: parts that do things with gates there, and tell what they saw.

`python -m kernelguest FOLDER` prints a line of JSON for each part: its name with its `facts`, or with an
`error`. Nothing is judged here; the tests on the host compare facts with what they expect.
"""

# `python -m pyfilter` is the command `pyfilter`.
from pyfilter.cli import main

main()

# What all tests share: in CI the generated examples are the same at every run, elsewhere new ones.
import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

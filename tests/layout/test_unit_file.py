# The systemd unit: what it grants, and that systemd itself finds it tight.
import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "packaging" / "PyFilter.service"
MOST = 2.0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_rates_the_exposure_at_most_two(tmp_path: Path) -> None:
    unit = tmp_path / "PyFilter.service"
    unit.write_text(UNIT.read_text().replace("@HERE@", "/usr/local/PyFilter"))
    argv = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    rated = re.search(r"Overall exposure level for PyFilter.service: ([\d.]+)", said.stdout)
    assert rated, said.stdout + said.stderr
    assert float(rated[1]) <= MOST, said.stdout
    assert "ignoring" not in said.stderr


def test_the_unit_grants_two_capabilities_and_no_more() -> None:
    granted = "CAP_NET_ADMIN CAP_DAC_READ_SEARCH"
    for key in ("CapabilityBoundingSet", "AmbientCapabilities"):
        assert re.findall(rf"^{key}=(.*)$", UNIT.read_text(), re.MULTILINE) == [granted]

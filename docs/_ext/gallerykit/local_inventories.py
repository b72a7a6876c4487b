r"""Link to other projects' documentation without the network.

No package ships the inventories that intersphinx reads, so ``docs/inventories/NAME.txt`` lists the
few names that this site links, one a line, in the format of Sphinx's inventories::

    torch.Tensor py:class 1 tensors.html#$ -

and the configuration says where each project lives::

    local_inventories = {"torch": "https://docs.pytorch.org/docs/stable"}

The lists are packed at every start into the build folder and handed to intersphinx. Sphinx's own
``InventoryFile.dump`` writes the inventory of a finished build only, hence the four lines here.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

HEADER = "# Sphinx inventory version 2\n# Project: {name}\n# Version: \n# compressed using zlib.\n"


def pack(name: str, names: str) -> bytes:
    """Return the inventory of project ``name`` with the lines of ``names``, without comments."""
    lines = [line.strip() for line in names.splitlines()]
    body = "\n".join(line for line in lines if line and not line.startswith("#")) + "\n"
    return HEADER.format(name=name).encode() + zlib.compress(body.encode(), 9)


def _configure(app: Sphinx, config: Config) -> None:
    target = Path(app.doctreedir) / "inventories"
    target.mkdir(parents=True, exist_ok=True)
    for name, address in config.local_inventories.items():
        source = Path(app.confdir) / "inventories" / f"{name}.txt"
        packed = target / f"{name}.inv"
        packed.write_bytes(pack(name, source.read_text(encoding="utf-8")))
        config.intersphinx_mapping[name] = (address, str(packed))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the configuration value; intersphinx checks its mapping at priority 800."""
    app.setup_extension("sphinx.ext.intersphinx")
    app.add_config_value("local_inventories", {}, "env", types=(dict,))
    app.connect("config-inited", _configure, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

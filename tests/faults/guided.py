"""Looks for bytes that harm a reader, guided by the lines of code that they reach.

    python -m tests.faults.guided TARGET [--seconds 60]

TARGET is one of ``config``, ``npy``, ``record``, ``log`` and ``archive``. It needs the package
``atheris``, which is not one of the project's, and Linux. Whatever a reader says of the bytes must
be an error of :mod:`sgdlab.errors`. It ends with the first bytes with which that does not hold, or
that take more than a second or 500 MB.
"""

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sgdlab.errors import SgdlabError

MOST_MEGABYTES = 500
LONGEST_S = 1

Target = Callable[[bytes], object]


def targets(file: Path) -> dict[str, Target]:
    """What is done with some bytes, for which a file may be written."""
    from sgdlab.config.reading import load_config
    from sgdlab.data.npy import NpyFile
    from sgdlab.runs.cell_log import CellResult
    from sgdlab.runs.experiment import read_experiment
    from sgdlab.runs.reading import parse_json, reading
    from sgdlab.runs.stops import STOP_FORM, npz_arrays, outcomes_of

    def npy(content: bytes) -> None:
        file.write_bytes(content)
        with NpyFile(file) as array:
            array.read_rows(slice(0, 9))

    def config(content: bytes) -> None:
        file.write_bytes(content)
        load_config(file)

    def record(content: bytes) -> None:
        file.write_bytes(_sealed(content))
        read_experiment(file)

    def log(content: bytes) -> None:
        found = parse_json(file, _sealed(content))
        with reading(file):
            CellResult.from_log(found)

    def archive(content: bytes) -> None:
        found = npz_arrays(file, content, STOP_FORM)
        with reading(file):
            outcomes_of(found, "0" * 64)

    return {"npy": npy, "config": config, "record": record, "log": log, "archive": archive}


def _sealed(content: bytes) -> bytes:
    """The same under a seal that is right, so that what stands behind it is reached."""
    before = content.removesuffix(b"\n}\n")
    sha256 = hashlib.sha256(before + b"\n}\n").hexdigest()
    return before + f',\n "sha256": "{sha256}"'.encode() + b"\n}\n"


def seeds(folder: Path) -> dict[str, list[bytes]]:
    """Bytes of the right kind, to begin with."""
    from tests.faults.hostile_runs.kinds import hostile_kinds

    kinds = hostile_kinds(folder)
    found: dict[str, list[bytes]] = {name: [] for name in targets(folder)}
    for kind in kinds:
        found["config"].append((folder / f"{kind.name}.yaml").read_bytes())
        found["record"].append(_unsealed(kind.pristine / "experiment.json"))
        found["log"] += map(_unsealed, kind.pristine.glob("cells/*.json"))
        found["archive"] += (file.read_bytes() for file in kind.pristine.rglob("block-*.npz"))
    found["npy"] = [file.read_bytes()[:4000] for file in (folder / "data").glob("y*.npy")]
    return found


def _unsealed(file: Path) -> bytes:
    return file.read_bytes().rpartition(b',\n "sha256": ')[0] + b"\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.guided", description=__doc__.splitlines()[0]
    )
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    try:
        import atheris
    except ImportError:
        parser.error("the package atheris is not installed")
    with atheris.instrument_imports(include=["sgdlab", "yaml", "zipfile"]):
        import sgdlab.config.reading
        import sgdlab.runs.experiment
        import sgdlab.runs.stops  # noqa: F401 - whose lines are to be seen
    with tempfile.TemporaryDirectory(prefix="sgdlab-") as name:
        folder = Path(name).resolve()
        give = targets(folder / "file")[options.target]
        corpus = folder / "corpus"
        corpus.mkdir()
        for number, content in enumerate(seeds(folder)[options.target]):
            (corpus / str(number)).write_bytes(content)

        def one_input(content: bytes) -> None:
            with suppress(SgdlabError):
                give(content)

        limits = [f"-timeout={LONGEST_S}", f"-rss_limit_mb={MOST_MEGABYTES}", "-max_len=20000"]
        limits += [f"-max_total_time={options.seconds}", f"-artifact_prefix={Path.cwd()}/"]
        atheris.Setup([sys.argv[0], *limits, str(corpus)], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

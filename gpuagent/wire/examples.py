"""The example jobs of the program, in the checkout or in the installed package."""

from pathlib import Path

PACKAGE = Path(__file__).parent.parent
JOB_FILE = "job.yaml"


def example_jobs() -> dict[str, Path]:
    """The job file of each example, by the example's name; none where the package was installed without them."""
    folder = _folder()
    return {path.parent.name: path for path in sorted(folder.glob(f"*/{JOB_FILE}"))} if folder else {}


def root_of(job: Path) -> Path:
    """The folder below which a job file may name inputs: its own, and for an example the one with our documentation."""
    folder = _folder()
    own = job.resolve().parent
    return folder.parent if folder and own.parent == folder else own


def _folder() -> Path | None:
    installed, checkout = PACKAGE / "examples", PACKAGE.parent / "examples"
    return next((folder.resolve() for folder in (installed, checkout) if folder.is_dir()), None)

"""Which file a path means among several jobs, and what is said of one that is not there or was deleted."""

from dataclasses import replace

import pytest

from gpuagent.core.run_files import RunFile, chosen, chosen_of_each, matching
from gpuagent.errors import FileDeleted, UnknownFile

FILE = RunFile("model.npz", 10, "a" * 64, "output", "acme", "job-1", completed=False, collected_at=1.0)
COMPLETED = replace(FILE, job_id="job-2", vendor_id="bolt", completed=True)
LATER = replace(FILE, job_id="job-3", collected_at=9.0)
CHECKPOINT = replace(FILE, kind="checkpoint", job_id="job-4", completed=True, collected_at=99.0)


@pytest.mark.parametrize(
    ("files", "best"),
    [
        ([FILE, LATER, CHECKPOINT], LATER),
        ([COMPLETED, LATER, CHECKPOINT], COMPLETED),
        ([CHECKPOINT], CHECKPOINT),
        ([replace(COMPLETED, deleted_at=5.0), FILE], FILE),
    ],
)
def test_the_best_of_several(files: list[RunFile], best: RunFile) -> None:
    assert chosen(files, "model.npz") == best
    assert chosen_of_each(files) == [best]


def test_what_is_not_there_and_what_is_not_there_any_more() -> None:
    with pytest.raises(UnknownFile, match="no file 'other'"):
        chosen([FILE], "other")
    with pytest.raises(FileDeleted, match=f"deleted by retention.*{'a' * 64}"):
        chosen([replace(FILE, deleted_at=5.0)], "model.npz")
    assert chosen_of_each([replace(FILE, deleted_at=5.0)]) == []


def test_files_of_a_vendor_of_a_job_and_of_a_kind() -> None:
    files = [FILE, COMPLETED, CHECKPOINT]
    assert matching(files) == files
    assert matching(files, vendor_id="bolt") == [COMPLETED]
    assert matching(files, job_id="job-4") == matching(files, kind="checkpoint") == [CHECKPOINT]
    assert FILE.as_json()["collectedAt"] == "1970-01-01T00:00:01Z"


def test_of_several_jobs_a_file_is_named_with_its_number() -> None:
    """Each has a folder of its own; a path that several left names none of them."""
    first, second = (replace(FILE, path="model.npz", job_id=str(index), index=index) for index in (0, 1))
    assert [file.place for file in chosen_of_each([first, second])] == ["0/model.npz", "1/model.npz"]
    assert chosen([first, second], "1/model.npz") == second
    assert chosen([first], "model.npz") == first
    assert matching([first, second], index=1) == [second]
    assert (second.as_json()["index"], "index" in replace(second, index=None).as_json()) == (1, False)
    with pytest.raises(UnknownFile, match=r"2 jobs of the run left 'model.npz': .* such as 0/model.npz, 1/model.npz"):
        chosen([first, second], "model.npz")


def test_a_number_in_front_is_a_jobs_and_no_other_jobs_file_is_given_for_it() -> None:
    """Job 2 left a file whose path begins with a 3; job 3 has left nothing yet."""
    other = replace(FILE, path="3/model.npz", job_id="2", index=2)
    for files in ([other], [other, replace(FILE, index=3, path="log.txt", job_id="3")]):
        with pytest.raises(UnknownFile, match=r"job 3 of the run left no 'model.npz'; there is 2/3/model.npz"):
            chosen(files, "3/model.npz")
    assert chosen([other], "2/3/model.npz") == other
    assert chosen([replace(other, index=3)], "3/model.npz").index == 3
    assert chosen([replace(other, index=None)], "3/model.npz").job_id == "2", "a run with one job has no numbers"
    with pytest.raises(UnknownFile, match="no 'x'"):
        chosen([replace(other, path="9" * 5_000 + "/x")], "9" * 5_000 + "/x")

"""What several rooms share: one toy course with small limits, and one pool that grades for all of them."""

import classroom
import pytest

from autograder.engines import LocalPool


@pytest.fixture(scope="session")
def quick_course(tmp_path_factory):
    """The toy course with small limits. Not to be written to."""
    return classroom.quick(tmp_path_factory.mktemp("quick"))


@pytest.fixture(scope="session")
def pool(quick_course):
    """Two judges at the toy course with small limits."""
    with LocalPool(classroom.job(quick_course)) as pool:
        yield pool

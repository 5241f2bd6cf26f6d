"""cluster: a real Ray cluster of two nodes on this machine, with what may happen to it, and who may try to reach it."""

import csv
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import classroom
import psutil
import pytest
import toycourse
from classroom import SCALE, scale, solution

from autograder import batch, cluster, supervisor
from autograder.cluster import Cluster, Wanted
from autograder.engines import LocalPool
from autograder.errors import BrokenAssignment, InstructorError, OperatorError
from autograder.gradebook import Gradebook
from autograder.records import Entry, Isolation, Outcome, Request, Watcher
from autograder.sandbox import isolation

TOKEN = "CANARY-token-" + secrets.token_hex(16)
RAY = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_USAGE_STATS_ENABLED": "0"}
os.environ |= RAY  # Ray reads them when it is imported
pytest.importorskip("ray")

WORKS = {
    "full": solution(),
    "adds": solution((SCALE, "return x + factor")),
    "no bias": solution(("return product + self.bias", "return product")),
    "random": solution((SCALE, "return x * factor + torch.rand(())")),
    "crash": solution((SCALE, "import os\n    os.abort()")),
    "cell crashes": solution(before="import os\nos.abort()"),
    "prints": solution(after="print('random:', torch.rand(2))"),
    "raises": solution((SCALE, "return x * undefined")),
    "not code": "def scratch(:\n",
    "no notebook": b"GIF89a",
    "=1+1 ü": solution(),
}
SLOW = {f"student {number}": solution(before="import time\ntime.sleep(0.3)") for number in range(12)}
DEADLY = "import os\n    if float(student.scale(torch.ones(()), 1.0)) == 7: os.kill(os.getppid(), 9)\n    "
FINDER = """
import sys
from importlib.machinery import PathFinder
class Finder:
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] != "autograder":
            return None
        found = PathFinder.find_spec(name, path or [{folder!r}])
        if found is None:
            raise ModuleNotFoundError("No module named " + repr(name))
        return found
sys.meta_path.insert(0, Finder)
"""
ATTACK = """
import ctypes, os, socket, stat

TARGET = {target!r}


def attempt(name, action, *given):
    try:
        found = action(*given)
    except Exception as error:
        print("refused", name, type(error).__name__, error)
    else:
        print("WORKED", name, str(found)[:300])


def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.settimeout(1)
        one.connect(address)
        return address


def seen(paths):
    found = [path for path in paths if os.path.exists(path)]
    if not found:
        raise FileNotFoundError(paths)
    return found


def environment(names):
    found = {{name: value for name, value in os.environ.items() if name.startswith(names)}}
    found |= {{name: value for name, value in os.environ.items() if "CANARY" in value}}
    if not found:
        raise KeyError("nothing of it")
    return found


def descriptors():
    found = []
    for number in range(256):
        try:
            state = os.fstat(number)
        except OSError:
            continue
        found.append((number, stat.S_IFMT(state.st_mode)))
    return found


for host, port in TARGET["ports"]:
    attempt(f"port {{port}}", connect, socket.AF_INET, (host, port))
for path in TARGET["sockets"]:
    attempt("socket", connect, socket.AF_UNIX, path)
for path in TARGET["files"]:
    attempt("file", lambda: open(path, "rb").read(100))
for path in TARGET["folders"]:
    attempt("folder", os.listdir, path)
for process in TARGET["processes"]:
    attempt("kill", os.kill, process, 9)
    for name in ("environ", "mem", "maps"):
        attempt(name, lambda: open(f"/proc/{{process}}/{{name}}", "rb").read(100))
    attempt("descriptors of others", os.listdir, f"/proc/{{process}}/fd")
attempt("environment", environment, ("RAY", "GCS", "PLASMA", "REDIS", "SLURM"))
attempt("shared memory", ctypes.CDLL(None, use_errno=True).shm_open and (lambda: os.open("/dev/shm", os.O_RDONLY)))
print("DESCRIPTORS", descriptors())
"""


class Nodes:
    """A cluster that others may join and leave. Its temporary folder is its own, so that what is left can be seen."""

    def __init__(self, folder):
        self.folder = folder
        for _ in range(3):  # Ray gives up after half a minute, which a busy machine may take
            with suppress(Exception):
                self.ray = self._start()
                return
        raise RuntimeError("no Ray cluster could be started here")

    def _start(self):
        from ray.cluster_utils import Cluster as RayCluster

        made = RayCluster(initialize_head=True, head_node_args=self._about(num_cpus=1))
        try:
            made.add_node(**self._about(num_cpus=1))
        except Exception:
            made.shutdown()
            raise
        return made

    def _about(self, **about):
        return {"include_dashboard": False, "object_store_memory": 80 * 2**20, **about}

    @property
    def address(self):
        return self.ray.address

    def join(self, environment=None, **about):
        return self.ray.add_node(**self._about(env_vars=environment, **about))

    def lose(self, node):
        self.ray.remove_node(node, allow_graceful=False)

    def processes(self):
        """Our supervisors on all nodes, and everything below them."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            with suppress(psutil.Error):
                ours = "autograder.supervisor" in " ".join(process.info["cmdline"] or ())
                if ours and process.environ().get("TMPDIR") == str(self.folder):
                    found += [process, *process.children(recursive=True)]
        return list(dict.fromkeys(found))

    def left(self):
        """What of ours is still running on nodes or lying around, once it had time to go.

        Not what the driver unpacked: killed, it leaves that to the sweep of the next run.
        """
        deadline = time.monotonic() + 20
        while (left := [*self.processes(), *self._folders()]) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left

    def _folders(self):
        return [path for path in self.folder.glob("autograder-*") if not path.name.startswith("autograder-for-intake")]


@pytest.fixture(scope="module")
def nodes():
    folder = Path(tempfile.mkdtemp(prefix="ag", dir="/tmp"))
    folder.chmod(0o755)
    patch = pytest.MonkeyPatch()
    patch.setenv("TMPDIR", str(folder))
    patch.setattr(tempfile, "tempdir", None)
    made = Nodes(folder)
    yield made
    made.ray.shutdown()
    patch.undo()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def wanted(nodes):
    return Wanted(nodes.address, "best", "cpu")


@pytest.fixture(scope="module")
def expected(pool, tmp_path_factory):
    """The class as this machine grades it by itself."""
    return hand_in(tmp_path_factory.mktemp("class"), pool)


def hand_in(folder, pool, works=WORKS):
    """Grades by name, of works and of files that can't be read."""
    entries = classroom.hand_in(folder, works)
    (folder / "link.py").symlink_to(folder / "full.py")
    with (folder / "large.ipynb").open("wb") as file:
        file.truncate(101 * 2**20)
    (folder / "folder.py").mkdir()
    odd = ("link.py", "large.ipynb", "folder.py", "gone.py")
    entries += [Entry(name, name, folder / name) for name in odd]
    entries.append(Entry("problem", "problem", folder / "full.py", problem="It is a picture.", note="A note."))
    found = {grade.submission: classroom.timeless(grade) for grade in pool.grade(entries)}
    assert len(found) == len(entries)
    return found


def grade(nodes, wanted, root, entries, disturb=lambda number: None):
    """All grades, in the order in which they came; something happens after each. And what is left when it is over."""
    with Cluster(wanted) as found:
        job = classroom.job(root, profile=found.profile)
        grades = []
        with found.pool(job) as pool:
            for number, each in enumerate(pool.grade(entries)):
                grades.append(each)
                disturb(number)
        incidents = found.incidents
    assert nodes.left() == []
    return grades, incidents


def check_all_full(grades, works):
    assert Counter(each.submission for each in grades) == Counter(list(works))
    assert {(each.status, each.score) for each in grades} == {(Outcome.GRADED, 10)}


# what is said


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(OperatorError, match=r"pip install 'attention-autograder\[ray\]'"):
        Cluster(Wanted())


def test_where_there_is_no_cluster_it_says_what_was_tried():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with (
        pytest.raises(OperatorError, match=rf"tried 127.0.0.1:{port} \(.*refused.*ray start --head"),
        Cluster(Wanted(f"127.0.0.1:{port}")),
    ):
        pass
    for address in ("127.0.0.1", "ray://127.0.0.1:10001", ":6379", "host:http"):
        with pytest.raises(OperatorError, match="expected host:port"), Cluster(Wanted(address)):
            pass
    said = cluster._no_cluster("", ConnectionError("Could not find any.\nMore."))
    assert "no --address and no RAY_ADDRESS is given" in said and "(Could not find any)" in said


def node(number, **resources):
    about = {"NodeID": f"{number}" * 20, "NodeManagerHostname": f"host{number}", "NodeManagerAddress": "10.0.0.1"}
    return {**about, "Alive": True, "Resources": resources}


def test_there_is_one_place_per_node_or_per_share_of_a_gpu():
    plain, large, head, gone = (
        node(1, CPU=4.0),
        node(2, CPU=16.0, GPU=2.0),
        node(3),
        {**node(4, CPU=1.0), "Alive": False},
    )

    def places(*nodes, **wanted):
        return [(p.node[0], p.workers, p.processors, p.gpus) for p in cluster._places(nodes, Wanted(**wanted))]

    assert places(plain, head, gone) == [("1", 4, 4, 0)]
    assert places(plain, large, workers=2, device="cpu") == [("1", 2, 2, 0), ("2", 2, 2, 0)]
    assert places(plain, large) == [("2", 8, 8, 1), ("2", 8, 8, 1)]
    assert places(large, gpu_share=0.25, device="cuda") == [("2", 2, 2, 0.25)] * 8
    assert places(node(5, CPU=1.0, GPU=1.0), gpu_share=0.5) == [("5", 1, 0.5, 0.5)] * 2
    assert places(plain, workers=9) == [("1", 9, 4, 0)]
    with pytest.raises(OperatorError, match=r"has 1 GPU to give. Start Ray there with --num-gpus"):
        places(plain, device="cuda")
    with pytest.raises(OperatorError, match=r"no processor|has a processor to give \(1 alive\)"):
        places(head, gone)


def test_a_grade_that_comes_twice_counts_once(tmp_path):
    station = cluster._Station(None, None, bytearray())
    entry = Entry("a", "a", tmp_path)
    station.take(entry)
    assert station.give_back("b") is None and station.give_back("a") is entry
    assert station.give_back("a") is None and station.count == 0


def test_an_assignment_that_is_too_large_to_be_sent_says_so(quick_course, monkeypatch):
    monkeypatch.setattr(cluster, "COURSE_BYTES", 1000)
    with pytest.raises(InstructorError, match="too much to be sent to each node"):
        cluster._files(classroom.job(quick_course).assignment)


# what comes of it


def test_the_same_grades_as_on_this_machine_alone(nodes, wanted, quick_course, expected, tmp_path):
    with Cluster(replace(wanted, shard=3)) as found:
        job = classroom.job(quick_course, profile=found.profile)
        assert (found.device, found.workers, found.profile.level) == (
            "cpu",
            2,
            classroom.job(quick_course).profile.level,
        )
        with found.pool(job) as pool:
            grades = hand_in(tmp_path / "class", pool)
            for name, each in grades.items():
                assert each == expected[name], name
            again = classroom.grade(pool, tmp_path / "again", {"full": solution()})
            assert classroom.timeless(again["full"]) == expected["full"]
    assert found.incidents == [] and nodes.left() == []


@pytest.mark.slow
def test_the_same_files_and_a_gradebook_that_goes_on(nodes, quick_course, tmp_path):
    works = {name: work for name, work in WORKS.items() if isinstance(work, str)}
    classroom.hand_in(tmp_path / "class", works)
    request = Request(quick_course, "toy", (tmp_path / "class",), tmp_path / "here", workers=2, isolation="best")
    there = replace(request, out=tmp_path / "there", workers=1, engine="ray", address=nodes.address)
    silent = Watcher(lambda start: None, lambda grade: None)
    batch.grade(request, silent)
    assert batch.grade(there, silent).review == ()
    assert _files(there.out) == _files(request.out)
    starts = []
    batch.grade(replace(there, engine="local"), Watcher(starts.append, silent.graded))
    assert starts[0].known == len(works)


def _files(out):
    found = {}
    for path in sorted(out.glob("results/*.json")):
        found[path.name] = json.loads(path.read_text("utf-8")) | {"seconds": 0}
    with (out / "grades.csv").open(encoding="utf-8", newline="") as file:
        return found, [row | {"seconds": 0} for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_driver_that_is_stopped_leaves_nothing_and_goes_on(nodes, quick_course, tmp_path, how):
    classroom.hand_in(tmp_path / "class", SLOW)
    options = ["--out", str(tmp_path / "out"), "--course", str(quick_course), "--workers", "1", "--isolation", "best"]
    command = [sys.executable, "-m", "autograder.cli", "grade", "toy", str(tmp_path / "class"), *options]
    command += ["--engine", "ray", "--address", nodes.address, "--log-json"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    events = []
    for line in running.stdout:
        events.append(json.loads(line)["event"])
        if events.count("graded") == 2:
            break
    running.send_signal(how)
    _, said = running.communicate(timeout=60)
    assert running.returncode == (130 if how == signal.SIGINT else -9), said
    assert how == signal.SIGKILL or "the same command goes on from here" in said
    assert nodes.left() == []
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with Gradebook.open(tmp_path / "out" / "gradebook.sqlite") as book:
        found = Counter(each.grade.student for each in book.attempts("toy"))
    assert found == Counter(list(SLOW))
    known = json.loads(done.stdout.splitlines()[0])["known"]
    assert 2 <= known < len(SLOW) and nodes.left() == []


def test_a_node_that_is_killed_costs_nobody_anything(nodes, wanted, quick_course, tmp_path):
    third = nodes.join(num_cpus=1)
    entries = classroom.hand_in(tmp_path, SLOW)

    def disturb(number):
        if number == 2:
            nodes.lose(third)

    grades, incidents = grade(nodes, replace(wanted, shard=4), quick_course, entries, disturb)
    check_all_full(grades, SLOW)
    assert len(incidents) == 1 and third.node_id[:8] in incidents[0] and "was done again" in incidents[0]


@pytest.mark.slow
def test_a_supervisor_and_an_actor_that_are_killed_are_replaced(nodes, wanted, quick_course, tmp_path):
    def disturb(number):
        supervisors = [each for each in nodes.processes() if "autograder.supervisor" in " ".join(each.cmdline())]
        if number == 1:
            supervisors[0].kill()
        if number == 4:
            _of_ray(nodes, "ray::Outpost")[0].kill()

    grades, incidents = grade(nodes, replace(wanted, shard=4), quick_course, classroom.hand_in(tmp_path, SLOW), disturb)
    check_all_full(grades, SLOW)
    assert 1 <= len(incidents) <= 2 and all("was done again" in each for each in incidents)


@pytest.mark.slow
def test_a_supervisor_that_says_nothing_any_more_is_replaced_and_one_that_only_takes_long_is_not(
    nodes, wanted, quick_course, tmp_path, monkeypatch
):
    monkeypatch.setattr(cluster, "SILENCE", 1.6 * supervisor.PULSE)
    toycourse.edit(quick_course, "assignment.toml", "check_wall = 5", "check_wall = 25")
    works = {**SLOW, "sleeps": scale("import time\nif factor == 2.0:\n    time.sleep(20)\nreturn x * factor")}

    def disturb(number):
        if number == 1:
            stopped = [each for each in nodes.processes() if "autograder.supervisor" in " ".join(each.cmdline())]
            stopped[0].suspend()

    grades, incidents = grade(
        nodes, replace(wanted, shard=4), quick_course, classroom.hand_in(tmp_path, works), disturb
    )
    check_all_full(grades, works)
    assert len(incidents) == 1 and "no sign of life for 16 seconds" in incidents[0]


def _of_ray(nodes, *names):
    """The processes of this cluster, and of no other on this machine, whose command has one of the names."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with suppress(psutil.Error):
            command = " ".join(process.info["cmdline"] or ())
            if any(name in command for name in names) and process.environ().get("TMPDIR") == str(nodes.folder):
                found.append(process)
    return found


@pytest.mark.slow
def test_what_ends_supervisors_again_and_again_is_our_fault(nodes, wanted, tmp_path):
    root = classroom.quick(tmp_path)
    student = "student.scale(torch.randn(4, device=device), 3.0)"
    classroom.toycourse.edit(root, "test_hidden.py", student, DEADLY + student)
    works = {name: solution() for name in "abcd"} | {"deadly": solution((SCALE, "return 7 * x"))}
    grades, _ = grade(nodes, wanted, root, classroom.hand_in(tmp_path / "works", works))
    found = {each.submission: each for each in grades}
    assert len(grades) == len(found) == 5
    assert (found["deadly"].status, found["deadly"].score) == (Outcome.INTERNAL, None)
    assert "no fault of yours" in found["deadly"].notes[0] and "whole supervisor 3 times" in found["deadly"].detail
    assert [found[name].score for name in "abcd"] == [10] * 4


@pytest.mark.slow
def test_tests_that_cant_be_collected_are_the_instructors_to_mend(nodes, wanted, tmp_path):
    root = classroom.quick(tmp_path)
    classroom.toycourse.edit(root, "test_hidden.py", "import pytest\n", "import pytest\nimport no_such_module\n")
    with pytest.raises(BrokenAssignment, match="No module named 'no_such_module'") as caught:
        grade(nodes, wanted, root, classroom.hand_in(tmp_path / "works", {"full": solution()}))
    assert "autograder-for-node-" not in str(caught.value)
    assert nodes.left() == []


# who may take part


@pytest.mark.slow
def test_a_node_with_other_versions_is_refused(nodes, wanted, tmp_path):
    package = Path(cluster.__file__).parent
    other, none = tmp_path / "other", tmp_path / "none"
    shutil.copytree(package, other / "autograder", ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "autograder" / "grader.py").open("a") as file:
        file.write("\n# changed\n")
    (none / "autograder").mkdir(parents=True)
    (none / "autograder" / "__init__.py").touch()
    joined = [nodes.join(_with(folder), num_cpus=1) for folder in (other, none)]
    try:
        with pytest.raises(OperatorError, match="nodes that can't be used") as caught, Cluster(wanted):
            pass
        said = str(caught.value)
        skewed, empty = (each.node_id[:8] for each in joined)
        assert f"node {skewed}" in said and "it has autograder 0." in said and "Install the same versions" in said
        assert f"node {empty}" in said and "No module named 'autograder.outpost'" in said
        assert "Nothing was graded" in said
    finally:
        for each in joined:
            nodes.lose(each)
    assert nodes.left() == []


def _with(folder):
    """The environment of a node that has another autograder installed."""
    (folder / "sitecustomize.py").write_text(FINDER.format(folder=str(folder)))
    return {"PYTHONPATH": str(folder)}


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("bwrap"), reason="needs two kinds of isolation")
def test_all_nodes_use_what_the_weakest_has_and_who_cant_is_refused(nodes, wanted, quick_course, tmp_path):
    (tmp_path / "bin").mkdir()
    weak = nodes.join({"PATH": str(tmp_path / "bin")}, num_cpus=1)
    try:
        with Cluster(wanted) as found:
            assert found.profile.level is Isolation.UID
            found.profile = replace(found.profile, level=Isolation.NAMESPACES)
            with found.pool(classroom.job(quick_course, profile=found.profile)) as pool:
                grades = classroom.grade(pool, tmp_path / "works", SLOW)
            assert {each.isolation for each in grades.values()} == {"namespaces"}
            assert [weak.node_id[:8] in each for each in found.incidents] == [True]
            assert "isolation namespaces can't be had" in found.incidents[0]
    finally:
        nodes.lose(weak)


@pytest.mark.slow
def test_gpus_are_taken_in_shares_and_must_work(nodes, wanted, quick_course, tmp_path):
    import torch

    joined = nodes.join(num_cpus=2, num_gpus=1)
    try:
        with Cluster(replace(wanted, device="auto", gpu_share=0.5)) as found:
            assert [station.place.gpus for station in found.stations] == [0.5, 0.5]
            assert found.device == ("cuda" if torch.cuda.is_available() else "cpu")
            with found.pool(classroom.job(quick_course, profile=found.profile)) as pool:
                assert classroom.grade(pool, tmp_path, {"full": solution()})["full"].score == 10
        if not torch.cuda.is_available():
            with (
                pytest.raises(OperatorError, match=r"GPU share 1 of 1.*CUDA was asked for and can't be used"),
                Cluster(replace(wanted, device="cuda")),
            ):
                pass
    finally:
        nodes.lose(joined)


@pytest.mark.slow
def test_what_a_killed_supervisor_left_is_swept_away(nodes, wanted, quick_course, tmp_path):
    left, young = nodes.folder / "autograder-for-node-old", nodes.folder / "autograder-for-node-new"
    (left / "course").mkdir(parents=True)
    young.mkdir()
    grade_one = classroom.hand_in(tmp_path, {"full": solution()})
    with Cluster(wanted) as found, found.pool(classroom.job(quick_course, profile=found.profile)) as pool:
        assert len(list(pool.grade(grade_one))) == 1
        assert not left.exists() and young.exists()
    young.rmdir()


# who may try to reach it


@pytest.mark.parametrize("level", [Isolation.NAMESPACES, Isolation.UID, Isolation.SELF])
def test_a_submission_reaches_nothing_of_the_engine(nodes, wanted, quick_course, tmp_path, level):
    try:
        profile = isolation.choose("require", only=level)
    except OperatorError as error:
        pytest.skip(str(error))
    with Cluster(wanted) as found:
        found.profile = profile
        with found.pool(classroom.job(quick_course, profile=profile)) as pool:
            target = _target(nodes)
            assert len(target["ports"]) >= 4 and len(target["sockets"]) >= 2 and len(target["processes"]) >= 4
            attack = solution(after=ATTACK.format(target=target))
            grades = classroom.grade(pool, tmp_path / "there", {"attack": attack, "honest": solution()})
        assert all(psutil.pid_exists(process) for process in target["processes"] if process in target["lasting"])
    told = grades["attack"].detail
    assert grades["attack"].score == grades["honest"].score == 10
    assert "WORKED" not in told and "CANARY" not in told, told
    tried = 1 + len(target["ports"]) + len(target["sockets"]) + len(target["files"]) + len(target["folders"])
    assert told.count("refused") == tried + 1 + 5 * len(target["processes"]), told
    with LocalPool(classroom.job(quick_course, profile=profile)) as pool:
        here = classroom.grade(pool, tmp_path / "here", {"attack": attack})["attack"].detail
    assert [line for line in told.splitlines() if "DESCRIPTORS" in line] == [
        line for line in here.splitlines() if "DESCRIPTORS" in line
    ]
    assert nodes.left() == []


def _target(nodes):
    """What there is of the engine on this machine."""
    session = Path(nodes.ray.head_node.get_session_dir_path())
    lasting = _of_ray(nodes, "raylet/raylet", "gcs/gcs_server")
    rays = [*_of_ray(nodes, "ray::Outpost"), *lasting]
    listening = [
        (each.laddr.ip, each.laddr.port)
        for process in rays
        for each in process.net_connections(kind="tcp")
        if each.status == psutil.CONN_LISTEN
    ]
    own = [each for each in nodes.processes() if "autograder.supervisor" in " ".join(each.cmdline())]
    private = next(nodes.folder.glob("autograder-for-node-*"))
    token = nodes.folder / "token"
    token.write_text(TOKEN)
    return {
        "ports": [("127.0.0.1", port) for _, port in listening][:12],
        "sockets": [str(path) for path in (session / "sockets").iterdir()],
        "files": [
            str(path)
            for path in (
                token,
                *private.glob("course/solutions/*/test_hidden.py"),
                *(session / "logs").glob("*.log"),
                "/dev/shm",
            )
        ][:6],
        "folders": [str(each) for each in (session, nodes.folder, private, "/dev/shm", "/tmp")],
        "processes": [each.pid for each in (*rays, *own)][:8],
        "lasting": [each.pid for each in lasting],
    }

"""Files, folders and archives of every kind, honest and not, become entries; nothing is written outside."""

import errno
import io
import os
import stat
import tarfile
import time
import zipfile

import pytest

from autograder.archives import Caps
from autograder.errors import InstructorError, OperatorError, UnreadableSubmission
from autograder.intake import counting, discover
from autograder.notebook import extract

NOTEBOOK = b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code", "source": "x = 1"}]}'


@pytest.fixture
def place(tmp_path):
    """Makes files below `given`; a name that ends in / is a folder."""
    root = tmp_path / "given"
    root.mkdir()

    def make(*names, data=NOTEBOOK):
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir(exist_ok=True)
            else:
                path.write_bytes(data)
        return root

    return make


@pytest.fixture
def found(tmp_path):
    def find(*paths):
        return {entry.id: entry for entry in discover(paths, tmp_path / "scratch")}

    return find


def zipped(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def shown(entries):
    return {id_: (entry.student, bool(entry.problem)) for id_, entry in entries.items()}


def test_a_flat_folder_has_a_student_per_file(place, found):
    root = place("bob.ipynb", "alice.ipynb", "carol.py", "README.md", "data/train.csv", ".hidden.ipynb")
    place(".ipynb_checkpoints/alice-checkpoint.ipynb", "__pycache__/x.py", "alice.png")
    entries = found(root)
    assert list(entries) == ["alice", "bob", "carol"]
    assert {entry.student for entry in entries.values()} == {"alice", "bob", "carol"}


def test_two_students_with_the_same_file_name_stay_apart(place, found):
    root = place("alice/attention.ipynb", "bob/attention.ipynb", "bob/more/attention.ipynb")
    assert shown(found(root)) == {
        "alice__attention": ("alice", False),
        "bob__attention": ("bob", False),
        "bob__more__attention": ("bob", False),
    }


def test_files_of_one_name_given_one_by_one_stay_apart(place, found):
    root = place("alice/attention.ipynb", "bob/attention.ipynb", "carol.ipynb")
    entries = found(root / "alice/attention.ipynb", root / "bob/attention.ipynb", root / "carol.ipynb")
    assert shown(entries) == {
        "alice__attention": ("alice", False),
        "bob__attention": ("bob", False),
        "carol": ("carol", False),
    }


def test_the_same_file_given_twice_is_one_entry(place, found):
    root = place("alice.ipynb")
    assert list(found(root, root / "alice.ipynb")) == ["alice"]


def test_a_student_without_a_notebook_gets_a_row(place, found):
    root = place("alice/a.ipynb", "bob/report.pdf", "carol/", "dan/a.csv", "dan/b.png", "eve/test_public.py")
    entries = found(root)
    assert {id_ for id_, entry in entries.items() if entry.problem} == {
        "bob__report",
        "carol",
        "dan",
        "eve__test_public",
    }
    assert "report.pdf is no notebook" in entries["bob__report"].problem
    assert "empty" in entries["carol"].problem
    assert "a.csv, b.png" in entries["dan"].problem
    with pytest.raises(UnreadableSubmission, match=r"Hand in the notebook"):
        extract(entries["bob__report"])


def test_stray_files_beside_a_notebook_are_ignored(place, found):
    root = place("alice/a.ipynb", "alice/data.csv", "alice/test_public.py", "alice/venv/lib/x.py")
    assert list(found(root)) == ["alice__a"]


def test_a_file_given_by_itself_gets_a_row_whatever_it_is(place, found):
    root = place("alice.pdf", "setup.py")
    entries = found(root / "alice.pdf", root / "setup.py")
    assert shown(entries) == {"alice": ("alice", True), "setup": ("setup", False)}


def test_a_missing_path_and_an_empty_folder_are_the_instructors(place, found, tmp_path):
    with pytest.raises(InstructorError, match="does not exist"):
        found(tmp_path / "nowhere")
    with pytest.raises(InstructorError, match="Nothing to grade"):
        found(place())


def test_archives_of_every_kind_are_unpacked(place, found):
    root = place("alice.ipynb")
    zipped(root / "bob.zip", {"attention.ipynb": NOTEBOOK, "data.csv": b"1,2"})
    zipped(root / "carol.zip", {"carol/attention.ipynb": NOTEBOOK, "__MACOSX/carol/._attention.ipynb": b"x"})
    zipped(root / "eve" / "work.zip", {"deep\\attention.ipynb": NOTEBOOK})
    for name, mode in (("dan.tar.gz", "w:gz"), ("fay.tgz", "w:gz"), ("gil.tar", "w")):
        with tarfile.open(root / name, mode) as archive:
            info = tarfile.TarInfo("attention.ipynb")
            info.size, info.mtime = len(NOTEBOOK), 1_000_000_000
            archive.addfile(info, io.BytesIO(NOTEBOOK))
    entries = found(root)
    assert shown(entries) == {
        "alice": ("alice", False),
        "bob__attention": ("bob", False),
        "carol__attention": ("carol", False),
        "dan__attention": ("dan", False),
        "eve__work__deep__attention": ("eve", False),
        "fay__attention": ("fay", False),
        "gil__attention": ("gil", False),
    }
    assert entries["dan__attention"].path.stat().st_mtime == 1_000_000_000
    assert all(extract(entry).cells for entry in entries.values())


def test_an_archive_is_like_the_folder_it_was_made_of(tmp_path, found):
    members = {"class/alice/a.ipynb": NOTEBOOK, "class/bob/a.ipynb": NOTEBOOK, "class/carol/x.pdf": b"%PDF"}
    assert shown(found(zipped(tmp_path / "class (1).zip", members))) == {
        "alice__a": ("alice", False),
        "bob__a": ("bob", False),
        "carol__x": ("carol", True),
    }


def test_archives_in_archives(tmp_path, found):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("attention.ipynb", NOTEBOOK)
    entries = found(zipped(tmp_path / "class.zip", {"alice/work.zip": inner.getvalue(), "bob.ipynb": NOTEBOOK}))
    assert shown(entries) == {"alice__work__attention": ("alice", False), "bob": ("bob", False)}


def test_members_that_point_outside_get_a_row_and_the_others_are_taken(tmp_path, found):
    path = tmp_path / "in" / "class.zip"
    zipped(
        path,
        {"../evil.ipynb": NOTEBOOK, "/tmp/evil2.ipynb": NOTEBOOK, "C:\\evil3.ipynb": NOTEBOOK, "ok.ipynb": NOTEBOOK},
    )
    link = zipfile.ZipInfo("link.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    before = set(tmp_path.rglob("*"))
    entries = found(path)
    outside = [made for made in set(tmp_path.rglob("*")) - before if tmp_path / "scratch" not in (made, *made.parents)]
    assert not outside
    assert {id_ for id_, entry in entries.items() if entry.problem} == {"evil", "tmp__evil2", "evil3", "link"}
    assert "points outside" in entries["evil"].problem and "is a link" in entries["link"].problem
    assert extract(entries["ok"]).cells


def test_links_and_devices_in_a_tar_get_a_row(tmp_path, found):
    path = tmp_path / "class.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, kind in (("a.ipynb", tarfile.SYMTYPE), ("b.ipynb", tarfile.LNKTYPE), ("c.ipynb", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("../../d.ipynb")
        info.size = len(NOTEBOOK)
        archive.addfile(info, io.BytesIO(NOTEBOOK))
        info = tarfile.TarInfo("ok.ipynb")
        info.size = len(NOTEBOOK)
        archive.addfile(info, io.BytesIO(NOTEBOOK))
    entries = found(path)
    assert shown(entries) == {name: (name, name != "ok") for name in ("a", "b", "c", "d", "ok")}
    assert not list(tmp_path.rglob("d.ipynb"))


def broken_zip():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("a.ipynb", NOTEBOOK * 50)
    return data.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("bob.zip", b""),
        ("bob.zip", b"no archive"),
        ("bob.zip", broken_zip()[:2000]),
        ("bob.tar.gz", b"\x1f\x8b broken"),
        ("bob.tar", b"x" * 2000),
        ("bob.tgz", broken_zip()),
    ],
)
def test_a_broken_archive_is_one_row(place, found, name, data):
    place("alice.ipynb")
    entries = found(place(name, data=data))
    assert shown(entries) == {"alice": ("alice", False), "bob": ("bob", True)}
    assert name in entries["bob"].problem
    assert shown(found(place() / name)) == {"bob": ("bob", True)}


def test_an_encrypted_member_and_a_wrong_checksum_get_rows(place, found):
    data = bytearray(broken_zip())
    data[60] ^= 0xFF
    root = place("bob.zip", data=bytes(data))
    assert "can't be unpacked" in found(root / "bob.zip")["bob"].problem
    encrypted = bytearray(broken_zip())
    encrypted[6] |= 1
    encrypted[encrypted.rfind(b"PK\1\2") + 8] |= 1
    root = place("eve.zip", data=bytes(encrypted))
    assert "without password" in found(root / "eve.zip")["eve"].problem


def test_a_zip_bomb_is_refused_before_it_fills_the_disk(place, found, tmp_path):
    root = place("alice.ipynb")
    zipped(root / "bob.zip", {f"{n}.ipynb": b" " * 90 * 2**20 for n in range(5)})
    zipped(root / "eve.zip", {f"{n}.txt": b"" for n in range(6000)})
    entries = found(root)
    assert shown(entries) == {"alice": ("alice", False), "bob": ("bob", True), "eve": ("eve", True)}
    assert "MB when unpacked" in entries["bob"].problem and "5000 files" in entries["eve"].problem
    assert sum(path.stat().st_size for path in (tmp_path / "scratch").rglob("*") if path.is_file()) < 2**20


def test_a_tar_bomb_is_refused(place, found):
    root = place("alice.ipynb")
    with tarfile.open(root / "bob.tar.gz", "w:gz", compresslevel=1) as archive:
        info = tarfile.TarInfo("data.bin")
        info.size = 500 * 2**20
        with open("/dev/zero", "rb") as zero:
            archive.addfile(info, zero)
    assert "MB when unpacked" in found(root)["bob"].problem


def test_links_in_a_folder_are_not_followed(place, found, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "x.ipynb").write_bytes(NOTEBOOK)
    root = place("alice/a.ipynb")
    (root / "alice" / "b.ipynb").symlink_to(secret / "x.ipynb")
    (root / "bob").symlink_to(secret)
    os.mkfifo(root / "alice" / "c.ipynb")
    entries = found(root)
    assert shown(entries) == {
        "alice__a": ("alice", False),
        "alice__b": ("alice", True),
        "alice__c": ("alice", False),
        "bob": ("bob", True),
    }
    with pytest.raises(UnreadableSubmission, match="no ordinary file"):
        extract(entries["alice__c"])


def test_canvas_names(place, found):
    root = place(
        "mullerana_12345_67890_attention.ipynb", "leeb_LATE_22_33_attention-1.ipynb", "leeb_22_31_attention.ipynb"
    )
    place("zed_5_6_report.pdf")
    zipped(root / "kim_7_8_work.zip", {"a.ipynb": NOTEBOOK})
    students = {id_: (entry.student, bool(entry.problem)) for id_, entry in found(root).items()}
    assert students == {
        "kim_7_8_work__a": ("kim", False),
        "leeb_22_31_attention": ("leeb", False),
        "leeb_LATE_22_33_attention-1": ("leeb", False),
        "mullerana_12345_67890_attention": ("mullerana", False),
        "zed_5_6_report": ("zed", True),
    }


def test_two_people_of_one_name_stay_two(place, found):
    root = place("kim_1_10_a.ipynb", "kim_2_11_a.ipynb")
    assert [entry.student for entry in found(root).values()] == ["kim (1)", "kim (2)"]


def test_moodle_folders(place, found):
    root = place("Ana Müller_123_assignsubmission_file_/a.ipynb", "Bo Li_124_assignsubmission_file_/x.pdf")
    assert shown(found(root)) == {
        "Ana_Müller_123_assignsubmission_file___a": ("Ana Müller", False),
        "Bo_Li_124_assignsubmission_file___x": ("Bo Li", True),
    }


def test_gradescope_exports(place, found):
    metadata = b"""---
submission_11:
  :submitters:
  - :name: Ana Muller
    :sid: '1'
  :created_at: 2026-01-01
  :results:
    tests:
    - :name: not a person
submission_12:
  :submitters:
  - :name: Bo Li
  - :name: Cy Day
  :score: 1.0
"""
    root = place("export_1/submission_11/a.ipynb", "export_1/submission_12/a.ipynb", "export_1/submission_13/a.ipynb")
    place("export_1/submission_metadata.yml", data=metadata)
    students = [entry.student for entry in found(root).values()]
    assert students == ["Ana Muller", "Bo Li and Cy Day", "submission_13"]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ('O\'Neil, Zo\u00eb "Zo"', 'O\'Neil, Zo\u00eb "Zo"'),
        ("'=1+1: it''s'", "=1+1: it's"),
        ('"Z\\\\o\\u00eb \\"Zo\\""', 'Z\\o\u00eb "Zo"'),
        ('"an \\e escape"', "an \\e escape"),
        ("'", "'"),
    ],
)
def test_names_are_read_as_gradescopes_list_quotes_them(place, found, written, name):
    root = place("export_1/submission_11/a.ipynb")
    text = f"---\nsubmission_11:\n  :submitters:\n  - :name: {written}\n"
    place("export_1/submission_metadata.yml", data=text.encode())
    (entry,) = found(root).values()
    assert entry.student == name


def test_ids_are_safe_and_unique(place, found):
    root = place("a/x.ipynb", "a/x.py", "a/X.ipynb", "-r f/..x y.ipynb", "n\u202eame/z\n.ipynb", "Mu\u0308ller/a.ipynb")
    place("A" * 200 + "/" + "b" * 200 + ".ipynb", "=cmd/x.ipynb")
    entries = found(root)
    assert len({id_.casefold() for id_ in entries}) == len(entries) == 8
    assert {"a__X", "a__x-2", "a__x-3", "M\u00fcller__a", "_cmd__x", "n_ame__z_"} <= set(entries)
    assert all(len(f"{id_}.json".encode()) < 255 and id_[0] not in "-." for id_ in entries)
    assert not any(letter in id_ for id_ in entries for letter in "/\\ \n\u202e\0'\"<>&")
    assert all(entry.student.isprintable() or "\ufffd" in entry.student for entry in entries.values())


def test_of_two_files_of_one_student_the_later_counts(place, found):
    root = place("alice/a.ipynb", "alice/b.ipynb", "bob/x.py", "bob/x.ipynb", "carol/a.ipynb", "carol/b.ipynb")
    for name in ("alice/b.ipynb", "bob/x.py", "bob/x.ipynb", "carol/a.ipynb", "carol/b.ipynb"):
        os.utime(root / name, (1000, 1000))
    os.utime(root / "alice/a.ipynb", (2000, 2000))
    entries = list(found(root).values())
    assert len(entries) == 6
    by_id = {entry.id: entry for entry in entries}
    assert {by_id[id_].path.name for id_ in counting(entries)} == {"a.ipynb", "x.ipynb", "b.ipynb"}
    assert counting(entries) >= {"alice__a", "carol__b"}


def test_what_has_a_problem_counts_only_where_there_is_nothing_else(place, found):
    root = place("alice/a.ipynb")
    os.utime(root / "alice/a.ipynb", (1000, 1000))
    place("alice/z.zip", "bob/z.zip", data=b"broken")
    assert counting(list(found(root).values())) == {"alice__a", "bob__z"}


def test_the_order_and_the_ids_are_the_same_every_time(place, tmp_path):
    root = place(*(f"s{n}/a.ipynb" for n in range(20)))
    assert discover([root], tmp_path / "one") == discover([root], tmp_path / "two")


def test_a_disk_of_ours_that_is_full_is_the_operators(place, tmp_path, monkeypatch):
    root = place("alice.ipynb")
    zipped(root / "bob.zip", {"a.ipynb": NOTEBOOK})

    def full(path, mode="r"):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("autograder.archives.Path.open", full)
    with pytest.raises(OperatorError, match="Make room on the disk"):
        discover([root], tmp_path / "scratch")


def nested(data, count, depth, name="x"):
    for _ in range(depth):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for number in range(count):
                archive.writestr(f"{name}{number}.zip", data)
        data = file.getvalue()
    return data


def test_archives_in_archives_share_one_budget(place, found, tmp_path, monkeypatch):
    monkeypatch.setattr("autograder.intake.STUDENT", Caps(members=40, total=1 << 20))
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.py", b"#" * 900_000)
    root = place("bob.zip", data=nested(bomb.getvalue(), 30, 1))
    place("eve.zip", data=nested(NOTEBOOK, 4, 3))
    place("alice.ipynb")
    entries = found(root)
    assert not entries["alice"].problem
    assert sum(not entry.problem for id_, entry in entries.items() if id_.startswith("bob")) == 1
    assert sum(path.stat().st_size for path in (tmp_path / "scratch").rglob("*") if path.is_file()) < 3 << 20
    assert len(entries) < 1 + 31 + 41


def test_ten_thousand_members_take_bounded_time(place, found):
    root = place("alice.ipynb")
    zipped(root / "bob.zip", {f"d{n}/a.ipynb": b"{}" for n in range(10_000)})
    with tarfile.open(root / "eve.tar.gz", "w:gz", compresslevel=1) as archive:
        for number in range(10_000):
            archive.addfile(tarfile.TarInfo(f"d{number}/a.ipynb"))
    began = time.monotonic()
    entries = found(root)
    assert time.monotonic() - began < 20
    assert shown(entries) == {"alice": ("alice", False), "bob": ("bob", True), "eve": ("eve", True)}
    assert "5000 files" in entries["bob"].problem and "5000 files" in entries["eve"].problem


def test_what_is_no_file_gets_a_row_in_every_kind_of_archive(place, found):
    root = place("alice.ipynb")
    kinds = {"b": stat.S_IFBLK, "c": stat.S_IFCHR, "f": stat.S_IFIFO, "s": stat.S_IFSOCK}
    with zipfile.ZipFile(root / "bob.zip", "w") as archive:
        for name, kind in kinds.items():
            info = zipfile.ZipInfo(f"{name}.ipynb")
            info.external_attr = (kind | 0o666) << 16
            archive.writestr(info, NOTEBOOK)
    with tarfile.open(root / "eve.tar", "w") as archive:
        for name, kind in (("b", tarfile.BLKTYPE), ("f", tarfile.FIFOTYPE), ("l", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(f"{name}.ipynb")
            info.type, info.linkname = kind, "../../alice.ipynb"
            archive.addfile(info)
    entries = found(root)
    assert {id_ for id_, entry in entries.items() if entry.problem} == {
        "bob__b", "bob__c", "bob__f", "bob__s", "eve__b", "eve__f", "eve__l",
    }  # fmt: skip


def test_members_that_lie_over_one_another_are_counted_each(place, found, tmp_path):
    """A zip whose directory names one stretch of data many times."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.py", b"#" * (50 << 20))
        first = archive.infolist()[0]
        archive.filelist = [first] * 60
        archive._didModify = True
    root = place("alice.ipynb")
    place("bob.zip", data=file.getvalue())
    entries = found(root)
    assert not entries["alice"].problem and any(entry.problem for entry in entries.values())
    assert sum(path.stat().st_size for path in (tmp_path / "scratch").rglob("*") if path.is_file()) < 1 << 20


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alice", "alice"),
        ("alice", "\u0430lice"),
        ("ali\u200bce", "alice"),
        ("\uff41lice", "alice"),
        ("Ana Li", "ana li"),
    ],
)
def test_names_that_look_alike_are_two_students_and_say_so(place, found, one, other):
    entries = found(place(f"{one}/a.ipynb", f"{other}/a.ipynb", "bob/a.ipynb"))
    assert len(entries) == 3 and len({entry.student for entry in entries.values()}) == 3
    notes = {entry.student: entry.note for entry in entries.values()}
    assert notes.pop("bob") == ""
    assert all("easily taken for another one in this class" in note and note.isprintable() for note in notes.values())


def test_one_name_in_two_unicode_forms_is_one_student_and_says_so(place, found):
    entries = list(found(place("Zo\u00eb/a.ipynb", "Zoe\u0308/b.ipynb", "bob/a.ipynb")).values())
    assert [entry.student for entry in entries] == ["Zo\u00eb", "Zo\u00eb", "bob"]
    assert sum("two spellings" in entry.note for entry in entries) == 2
    noted = next(entry for entry in entries if entry.note)
    assert extract(noted).notes == (noted.note,)


def test_a_name_by_itself_needs_no_note(place, found):
    entries = found(place("alice/a.ipynb", "alice/b.ipynb", "Zo\u00eb/a.ipynb", "kim_1_10_a.ipynb", "kim_2_11_a.ipynb"))
    assert not any(entry.note for entry in entries.values())


def stamps(entries):
    return {id_: (entry.handed_in, entry.clock) for id_, entry in entries.items()}


MARCH = 1_773_356_340.0
MARCH_TEXT = "2026-03-12T22:59:00+00:00"


def extended(name, seconds, changed=b"\x01"):
    """A zip member with the extra field that says its time in UTC."""
    info = zipfile.ZipInfo(name, (2026, 3, 12, 23, 59, 0))
    info.extra = b"\x99\x99\x02\x00ab" + b"UT\x05\x00" + changed + int(seconds).to_bytes(4, "little", signed=True)
    return info


def test_a_plain_file_was_handed_in_when_it_was_last_changed(place, found):
    root = place("alice.ipynb", "bob/a.ipynb", "carol.ipynb")
    for name, at in (("alice.ipynb", MARCH), ("bob/a.ipynb", MARCH + 0.25), ("carol.ipynb", 0)):
        os.utime(root / name, (at, at))
    assert stamps(found(root)) == {
        "alice": (MARCH_TEXT, "file"),
        "bob__a": ("2026-03-12T22:59:00.250000+00:00", "file"),
        "carol": ("", ""),
    }
    assert stamps(found(root / "alice.ipynb")) == {"alice": (MARCH_TEXT, "file")}


def test_an_archive_of_a_class_tells_times_only_where_they_have_no_zone(tmp_path, found):
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(extended("utc/a.ipynb", MARCH), NOTEBOOK)
        archive.writestr(extended("other/a.ipynb", MARCH, changed=b"\x02"), NOTEBOOK)
        archive.writestr(zipfile.ZipInfo("local/a.ipynb", (2026, 3, 12, 23, 59, 0)), NOTEBOOK)
    assert stamps(found(path)) == {"local__a": ("", ""), "other__a": ("", ""), "utc__a": (MARCH_TEXT, "file")}
    with tarfile.open(tmp_path / "class.tar", "w") as archive:
        for name, at in (("ada/a.ipynb", MARCH), ("bo/a.ipynb", float("inf")), ("cy/a.ipynb", -5)):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(NOTEBOOK), at
            if at == float("inf"):
                info.mtime, info.pax_headers = 0, {"mtime": "inf"}
            archive.addfile(info, io.BytesIO(NOTEBOOK))
    assert stamps(found(tmp_path / "class.tar"))["ada__a"] == (MARCH_TEXT, "file")
    assert {stamps(found(tmp_path / "class.tar"))[id_] for id_ in ("bo__a", "cy__a")} == {("", "")}


def test_a_students_own_archive_has_its_own_time_whatever_times_are_in_it(place, found, tmp_path):
    root = place("alice/")
    with zipfile.ZipFile(root / "alice" / "work.zip", "w") as archive:
        archive.writestr(extended("a.ipynb", 1_500_000_000), NOTEBOOK)
    os.utime(root / "alice" / "work.zip", (MARCH, MARCH))
    assert stamps(found(root)) == {"alice__work__a": (MARCH_TEXT, "file")}
    whole = tmp_path / "class.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr(extended("alice/work.zip", MARCH), (root / "alice" / "work.zip").read_bytes())
    assert stamps(found(whole)) == {"alice__work__a": (MARCH_TEXT, "file")}


def test_downloads_tell_who_but_their_files_not_when(place, found):
    root = place("leeb_LATE_22_33_a-1.ipynb", "leeb_22_31_a.ipynb", "Ana Müller_123_assignsubmission_file_/a.ipynb")
    entries = found(root)
    assert set(stamps(entries).values()) == {("", "canvas"), ("", "moodle")}
    assert {id_ for id_, entry in entries.items() if entry.marked_late} == {"leeb_LATE_22_33_a-1"}
    assert entries["leeb_22_31_a"].people == ("canvas=22&name=leeb",)
    assert entries["Ana_Müller_123_assignsubmission_file___a"].people == ("moodle=123&name=Ana+M%C3%BCller",)


METADATA = b"""---
submission_11:
  :submitters:
  - :name: Ana & Muller
    :sid: '0011'
    :email: ana@x.org
  :created_at: 2026-03-12 23:59:00.123456000 +01:00
  :results:
    output: "x
      :created_at: 2020-01-01 00:00:00 Z
      - :name: no person"
  :history:
  - :created_at: 2020-01-01 00:00:00 Z
submission_12:
  :submitters:
  - :name: Bo Li
  - :name: Cy Day
    :email: cy@x.org
  :created_at: 2026-03-12 22:59:00 Z
submission_13:
  :submitters:
  - :name: Dan
  :created_at: 2026-03-12 22:59:00
"""


def test_gradescopes_list_says_when_and_who(place, found):
    root = place(*(f"x/submission_{n}/a.ipynb" for n in (11, 12, 13, 14)))
    place("x/submission_metadata.yml", data=METADATA)
    entries = found(root)
    assert [entry.handed_in for entry in entries.values()] == [
        "2026-03-12T23:59:00.123456+01:00", MARCH_TEXT, "", "",
    ]  # fmt: skip
    assert {entry.clock for entry in entries.values()} == {"gradescope"}
    assert [entry.people for entry in entries.values()] == [
        ("name=Ana+%26+Muller&number=0011&email=ana%40x.org",),
        ("name=Bo+Li", "name=Cy+Day&email=cy%40x.org"),
        ("name=Dan",),
        (),
    ]


def test_a_list_that_a_student_hands_in_is_not_believed(place, found):
    forged = METADATA.replace(b"Ana & Muller", b"Mallory").replace(b"2026-03-12 23", b"2020-03-12 23")
    root = place("submission_11/a.ipynb", "submission_12/a.ipynb")
    place("submission_11/submission_metadata.yml", data=forged)
    zipped(root / "submission_12" / "work.zip", {"a.ipynb": NOTEBOOK, "submission_metadata.yml": forged})
    entries = found(root)
    assert {entry.student for entry in entries.values()} == {"submission_11", "submission_12"}
    assert {entry.handed_in for entry in entries.values()} == {""}


NBGRADER = {
    "submitted/ada/toy/toy.ipynb": NOTEBOOK,
    "submitted/ada/toy/timestamp.txt": b"2026-03-12 22:59:00.250000 UTC\n",
    "submitted/bo/toy/toy.ipynb": NOTEBOOK,
    "submitted/bo/toy/timestamp.txt": b"2026-03-12 23:59:00 +0100",
    "submitted/cy/toy/toy.ipynb": NOTEBOOK,
    "submitted/cy/toy/timestamp.txt": b"2026-03-12 23:59:00 CET",
    "submitted/dan/toy/toy.ipynb": NOTEBOOK,
    "submitted/ada/other/other.ipynb": NOTEBOOK,
    "submitted/ada/other/timestamp.txt": b"2020-01-01 00:00:00 UTC",
    "release/toy/toy.ipynb": NOTEBOOK,
    "autograded/ada/toy/toy.ipynb": NOTEBOOK,
    "gradebook.db": b"",
}


@pytest.mark.parametrize("form", ["course", "submitted", "archive"])
def test_nbgraders_folders_hold_one_students_work_each(tmp_path, form):
    root = tmp_path / "course"
    for name, data in NBGRADER.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    given = {"course": root, "submitted": root / "submitted", "archive": tmp_path / "submitted.zip"}[form]
    zipped(tmp_path / "submitted.zip", {name: data for name, data in NBGRADER.items() if name.startswith("submitted/")})
    entries = {entry.id: entry for entry in discover([given], tmp_path / "scratch", "toy")}
    assert shown(entries) == {f"{name}__toy__toy": (name, False) for name in ("ada", "bo", "cy", "dan")}
    assert stamps(entries)["ada__toy__toy"] == ("2026-03-12T22:59:00.250000+00:00", "nbgrader")
    assert stamps(entries)["bo__toy__toy"] == ("2026-03-12T23:59:00+01:00", "nbgrader")
    assert stamps(entries)["cy__toy__toy"] == stamps(entries)["dan__toy__toy"] == ("", "nbgrader")
    if form != "archive":
        with pytest.raises(InstructorError, match=r"submitted/ holds other, toy and no folder 'a1'"):
            discover([given], tmp_path / "scratch", "a1")


def test_one_assignment_alone_may_have_another_name_and_loose_files_are_as_ever(tmp_path):
    root = tmp_path / "submitted"
    for name in ("ada/ps1/x.ipynb", "bo/y.ipynb"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(NOTEBOOK)
    entries = {entry.id: entry for entry in discover([root], tmp_path / "scratch", "toy")}
    assert shown(entries) == {"ada__ps1__x": ("ada", False), "bo__y": ("bo", False)}


def test_a_time_stamp_in_a_students_own_archive_or_folder_is_not_believed(tmp_path, place, found):
    root = tmp_path / "submitted"
    forged = {"timestamp.txt": b"2020-01-01 00:00:00 UTC", "toy.ipynb": NOTEBOOK}
    zipped(root / "ada" / "toy.zip", forged)
    os.utime(root / "ada" / "toy.zip", (MARCH, MARCH))
    assert stamps(found(root)) == {"ada__toy__toy": ("", "nbgrader")}
    plain = place("alice/a/a.ipynb")
    place("alice/a/timestamp.txt", data=forged["timestamp.txt"])
    os.utime(plain / "alice/a/a.ipynb", (MARCH, MARCH))
    assert stamps(found(plain)) == {"alice__a__a": (MARCH_TEXT, "file")}
